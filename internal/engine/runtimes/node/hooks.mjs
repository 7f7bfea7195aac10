// What load.js does with hooks in its own thread, for versions of Node.js that have hooks in another one alone.

let folders = [];

export function initialize(data) {
  folders = data.folders;
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (e) {
    if (e.code === 'ERR_MODULE_NOT_FOUND' && !/^(\.{0,2}\/|[a-z][a-z0-9+.-]*:|#)/i.test(specifier)) {
      for (const parentURL of folders) {
        try {
          return await next(specifier, { ...context, parentURL });
        } catch {
          // The first error is the one to tell.
        }
      }
    }
    throw e;
  }
}

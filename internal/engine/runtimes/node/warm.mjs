// Imported ahead of the function, so that the loader of ES modules is there when it is needed.
export {};

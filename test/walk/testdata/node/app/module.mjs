import { readFile } from "node:fs/promises";

const own = await readFile(new URL(import.meta.url), "utf8");

export const handler = async (event) => ({ statusCode: 201, headers: { "x-kind": "module" }, body: `${event.rawPath} ${own.includes("rawPath")}` });

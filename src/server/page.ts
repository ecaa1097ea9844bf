/**
 * The page at `/`, on which a script can be asked for.
 *
 * @module
 */

import { eTag, ifNoneMatch } from "@std/http/etag";
import css from "./page/page.css" with { type: "text" };
import html from "./page/index.html" with { type: "text" };
import js from "./page/page.js" with { type: "text" };

const FILES = {
  "index.html": { text: html, type: "text/html" },
  "page.css": { text: css, type: "text/css" },
  "page.js": { text: js, type: "text/javascript" },
};

/** Nothing but the page's own files and this service. */
const POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A file of the page, or only that it has not changed. */
export async function pageResponse(file: keyof typeof FILES, request: Request): Promise<Response> {
  const { text, type } = FILES[file];
  const etag = await eTag(text);
  const headers = {
    etag,
    "content-type": `${type}; charset=utf-8`,
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
  };
  const isWanted = ifNoneMatch(request.headers.get("if-none-match"), etag);
  return isWanted ? new Response(text, { headers }) : new Response(null, { status: 304, headers });
}

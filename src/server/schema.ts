/**
 * The part of JSON Schema that describes what the service takes, and a check of values by it. The
 * same schemas stand in `/openapi.json`.
 *
 * @module
 */

import { ApiError } from "./api_error.ts";

/** A schema; keywords mean what JSON Schema 2020-12 says. */
export interface Schema {
  type?: "string" | "number" | "integer" | "boolean" | "array" | "object";
  description?: string;
  default?: unknown;
  enum?: readonly (string | number | boolean)[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  items?: Schema;
  /** Most members of an object. */
  maxProperties?: number;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  /** Schema of members that `properties` does not name; `false` forbids them. */
  additionalProperties?: false | Schema;
  anyOf?: readonly Schema[];
}

/** Fields of OpenAI's interface that are refused, and why. */
export type Refused = Readonly<Record<string, string>>;

/**
 * Checks an object by a schema. A member that is `null` counts as absent.
 *
 * @returns The object without members that are `null`.
 * @throws {ApiError} 400, naming the first member that is wrong.
 */
export function checkObject(
  value: unknown,
  schema: Schema,
  refused: Refused = {},
): Record<string, unknown> {
  if (!isObject(value)) {
    throw new ApiError(400, `The body is ${kindOf(value)}, expected a JSON object.`, {
      code: "invalid_value",
    });
  }
  const given = Object.entries(value).filter(([, member]) => member !== null);
  const known = schema.properties ?? {};
  for (const [name, member] of given) {
    if (Object.hasOwn(refused, name)) {
      throw new ApiError(400, `${name} is not supported: ${refused[name]}`, {
        param: name,
        code: "unsupported_parameter",
      });
    }
    if (!Object.hasOwn(known, name)) {
      throw new ApiError(
        400,
        `There is no field ${brief(name)}: take one of ${Object.keys(known).join(", ")}.`,
        { param: brief(name), code: "unknown_parameter" },
      );
    }
    const wrong = fault(member, known[name], name);
    if (wrong) throw new ApiError(400, wrong, { param: name, code: "invalid_value" });
  }
  for (const name of schema.required ?? []) {
    if (!given.some(([key]) => key === name)) {
      throw new ApiError(400, `${name} is missing: ${known[name].description ?? "give it."}`, {
        param: name,
        code: "missing_required_parameter",
      });
    }
  }
  return Object.fromEntries(given);
}

/** What is wrong with a value, or `undefined`. */
function fault(value: unknown, schema: Schema, path: string): string | undefined {
  const { type, anyOf } = schema;
  if (anyOf) {
    const ofKind = anyOf.filter((one) => one.type === kind(value) || isWhole(value, one));
    const faults = ofKind.map((one) => fault(value, one, path));
    if (faults.includes(undefined)) return undefined;
    // The form that was meant is the one that fits best: an array's first item decides.
    return faults.find((one) => !one!.includes(`${path}[0]`)) ?? faults[0] ??
      `${path} is ${kindOf(value)}, expected ${anyOf.map(nameOf).join(" or ")}.`;
  }
  if (type && kind(value) !== type && !isWhole(value, schema)) {
    return `${path} is ${kindOf(value)}, expected ${nameOf(schema)}.`;
  }
  if (schema.enum && !schema.enum.includes(value as string)) {
    return `${path} is ${brief(JSON.stringify(value))}, expected ${
      schema.enum.map((one) => JSON.stringify(one)).join(" or ")
    }.`;
  }
  if (typeof value === "number") {
    const { minimum: least = -Infinity, maximum: most = Infinity } = schema;
    if (value >= least && value <= most) return undefined;
    return `${path} is ${value}, expected ${
      most === Infinity ? `${least} or more` : `a number from ${least} to ${most}`
    }.`;
  }
  if (typeof value === "string") {
    const { minLength: least = 0, maxLength: most = Infinity } = schema;
    if (value.length < least) return `${path} is empty: fill it or leave it out.`;
    if (value.length > most) {
      return `${path} has ${value.length} characters, expected at most ${most}.`;
    }
    return undefined;
  }
  if (Array.isArray(value)) {
    const { minItems: least = 0, maxItems: most = Infinity, items = {} } = schema;
    if (value.length < least || value.length > most) {
      return `${path} has ${value.length} items, expected ${least} to ${most}.`;
    }
    for (const [i, item] of value.entries()) {
      const wrong = fault(item, items, `${path}[${i}]`);
      if (wrong) return wrong;
    }
    return undefined;
  }
  return isObject(value) ? memberFault(value, schema, path) : undefined;
}

function memberFault(
  value: Record<string, unknown>,
  { properties = {}, required = [], additionalProperties: others = false, ...limits }: Schema,
  path: string,
): string | undefined {
  const members = Object.entries(value), { maxProperties: most = Infinity } = limits;
  if (members.length > most) {
    return `${path} has ${members.length} members, expected at most ${most}.`;
  }
  for (const [name, member] of members) {
    const schema = Object.hasOwn(properties, name) ? properties[name] : others;
    if (!schema) return `${path} has no field ${brief(name)}: leave it out.`;
    if (member === null && !required.includes(name)) continue;
    const wrong = fault(member, schema, `${path}.${brief(name)}`);
    if (wrong) return wrong;
  }
  const missing = required.find((name) => !Object.hasOwn(value, name));
  return missing === undefined ? undefined : `${path}.${missing} is missing: give it.`;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isWhole = (value: unknown, { type }: Schema): boolean =>
  type === "integer" && Number.isSafeInteger(value);

const kind = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value;

function kindOf(value: unknown): string {
  const name = kind(value);
  if (name === "number") return String(value);
  return name === "null" ? name : `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

function nameOf({ type, items, anyOf }: Schema): string {
  if (anyOf) return anyOf.map(nameOf).join(" or ");
  if (type === "integer") return "a whole number";
  if (type === "array" && items) return `an array (each ${nameOf(items)})`;
  return `${type === "array" || type === "object" ? "an" : "a"} ${type}`;
}

/** A text short enough to be shown. */
const brief = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

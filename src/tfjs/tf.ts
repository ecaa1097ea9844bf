/**
 * TensorFlow.js with its WebGPU backend. Named here in full and not in deno.json: Deno fetches all npm
 * packages of deno.json as soon as one is needed, and who writes a script needs none of these.
 *
 * @module
 */

import "npm:@tensorflow/tfjs-backend-webgpu@4.22.0";

export * from "npm:@tensorflow/tfjs@4.22.0";

// The module: runs recorded programs. Compiled by scripts/build_wasm.ts into kernels.wasm.

import { Control, Opcode } from "../opcodes";
import { attentionForward } from "./attention";
import { attentionBackward } from "./attention_backward";
import { attentionCached } from "./attention_cached";
import { attentionCachedInt8 } from "./attention_cached_int8";
import { crossEntropy } from "./cross_entropy";
import { drawTokens } from "./draw_tokens";
import { adamw, add, biasBackward, dropout, fill, gradientNorm, sum } from "./elementwise";
import { embeddingBackward, embeddingForward, embeddingForwardInt8 } from "./embedding";
import { layernormBackward, layernormForward } from "./layernorm";
import { matmul } from "./matmul";
import { matmulInt8 } from "./matmul_int8";
import { awaitProgram, barrier, publish } from "./threads";
import { topLogits } from "./top_logits";

export { configure, stop } from "./threads";

/** Runs the commands from address `start` to `end` on all threads; called by the host's thread. */
export function run(start: usize, end: usize): void {
  publish(start, end);
  interpret(start, end);
}

/** Takes part in every program after `generation` until `stop`; called by workers. */
export function work(generation: i32): void {
  while (awaitProgram(generation)) {
    interpret(load<usize>(Control.program), load<usize>(Control.programEnd));
    generation++;
  }
}

function interpret(command: usize, end: usize): void {
  while (command < end) {
    const args = command + 8;
    switch (load<i32>(command)) {
      case Opcode.fill: {
        fill(args);
        break;
      }
      case Opcode.embeddingForward: {
        embeddingForward(args);
        break;
      }
      case Opcode.embeddingBackward: {
        embeddingBackward(args);
        break;
      }
      case Opcode.layernormForward: {
        layernormForward(args);
        break;
      }
      case Opcode.layernormBackward: {
        layernormBackward(args);
        break;
      }
      case Opcode.matmul: {
        matmul(args);
        break;
      }
      case Opcode.biasBackward: {
        biasBackward(args);
        break;
      }
      case Opcode.attentionForward: {
        attentionForward(args);
        break;
      }
      case Opcode.attentionBackward: {
        attentionBackward(args);
        break;
      }
      case Opcode.crossEntropy: {
        crossEntropy(args);
        break;
      }
      case Opcode.dropout: {
        dropout(args);
        break;
      }
      case Opcode.add: {
        add(args);
        break;
      }
      case Opcode.sum: {
        sum(args);
        break;
      }
      case Opcode.gradientNorm: {
        gradientNorm(args);
        break;
      }
      case Opcode.adamw: {
        adamw(args);
        break;
      }
      case Opcode.attentionCached: {
        attentionCached(args);
        break;
      }
      case Opcode.attentionCachedInt8: {
        attentionCachedInt8(args);
        break;
      }
      case Opcode.embeddingForwardInt8: {
        embeddingForwardInt8(args);
        break;
      }
      case Opcode.matmulInt8: {
        matmulInt8(args);
        break;
      }
      case Opcode.topLogits: {
        topLogits(args);
        break;
      }
      case Opcode.drawTokens: {
        drawTokens(args);
        break;
      }
      default:
        unreachable();
    }
    barrier();
    command += <usize> load<i32>(command, 4) * 4;
  }
}

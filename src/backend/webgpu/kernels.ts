/**
 * The WGSL texts of each kernel: what it includes, then itself.
 *
 * @module
 */

import adamwCode from "./adamw.wgsl" with { type: "text" };
import addCode from "./add.wgsl" with { type: "text" };
import attentionBackwardKeysCode from "./attention_backward_keys.wgsl" with { type: "text" };
import attentionBackwardQueriesCode from "./attention_backward_queries.wgsl" with { type: "text" };
import attentionCachedCode from "./attention_cached.wgsl" with { type: "text" };
import attentionCachedInt8StoreCode from "./attention_cached_int8_store.wgsl" with { type: "text" };
import attentionCachedStoreCode from "./attention_cached_store.wgsl" with { type: "text" };
import attentionForwardCode from "./attention_forward.wgsl" with { type: "text" };
import attentionTileCode from "./attention_tile.wgsl" with { type: "text" };
import castCode from "./cast.wgsl" with { type: "text" };
import columnSumsCode from "./column_sums.wgsl" with { type: "text" };
import commonCode from "./common.wgsl" with { type: "text" };
import crossEntropyCode from "./cross_entropy.wgsl" with { type: "text" };
import drawTokensCode from "./draw_tokens.wgsl" with { type: "text" };
import dropoutCode from "./dropout.wgsl" with { type: "text" };
import embeddingBackwardCode from "./embedding_backward.wgsl" with { type: "text" };
import embeddingForwardCode from "./embedding_forward.wgsl" with { type: "text" };
import embeddingForwardInt8Code from "./embedding_forward_int8.wgsl" with { type: "text" };
import embeddingListsCode from "./embedding_lists.wgsl" with { type: "text" };
import fillCode from "./fill.wgsl" with { type: "text" };
import finiteCode from "./finite.wgsl" with { type: "text" };
import int8Code from "./int8.wgsl" with { type: "text" };
import layernormBackwardCode from "./layernorm_backward.wgsl" with { type: "text" };
import layernormForwardCode from "./layernorm_forward.wgsl" with { type: "text" };
import lossScalingCode from "./loss_scaling.wgsl" with { type: "text" };
import matmulCode from "./matmul.wgsl" with { type: "text" };
import matmulEpilogueCode from "./matmul_epilogue.wgsl" with { type: "text" };
import matmulInt8Code from "./matmul_int8.wgsl" with { type: "text" };
import matmulSplitsCode from "./matmul_splits.wgsl" with { type: "text" };
import quantizeRowsCode from "./quantize_rows.wgsl" with { type: "text" };
import reduceCode from "./reduce.wgsl" with { type: "text" };
import slicesCode from "./slices.wgsl" with { type: "text" };
import sumCode from "./sum.wgsl" with { type: "text" };
import topLogitsCode from "./top_logits.wgsl" with { type: "text" };

/** The kernels by name. Each array is also the identity under which its pipelines are kept. */
export const kernels = {
  adamw: [commonCode, finiteCode, adamwCode],
  add: [commonCode, addCode],
  attentionBackwardKeys: [attentionTileCode, attentionBackwardKeysCode],
  attentionBackwardQueries: [attentionTileCode, attentionBackwardQueriesCode],
  attentionCached: [commonCode, int8Code, attentionCachedCode],
  attentionCachedInt8Store: [commonCode, int8Code, attentionCachedInt8StoreCode],
  attentionCachedStore: [commonCode, attentionCachedStoreCode],
  attentionForward: [attentionTileCode, attentionForwardCode],
  cast: [commonCode, castCode],
  columnSums: [columnSumsCode],
  crossEntropy: [commonCode, reduceCode, crossEntropyCode],
  drawTokens: [commonCode, drawTokensCode],
  dropout: [commonCode, dropoutCode],
  embeddingBackward: [commonCode, embeddingBackwardCode],
  embeddingForward: [commonCode, embeddingForwardCode],
  embeddingForwardInt8: [commonCode, int8Code, embeddingForwardInt8Code],
  embeddingLists: [embeddingListsCode],
  fill: [commonCode, fillCode],
  layernormBackward: [commonCode, reduceCode, layernormBackwardCode],
  layernormForward: [commonCode, reduceCode, layernormForwardCode],
  lossScaling: [finiteCode, lossScalingCode],
  matmul: [matmulEpilogueCode, matmulCode],
  matmulInt8: [int8Code, matmulInt8Code],
  matmulPart: [matmulCode],
  matmulSplits: [commonCode, matmulEpilogueCode, matmulSplitsCode],
  quantizeRows: [commonCode, reduceCode, quantizeRowsCode],
  slices: [slicesCode],
  sum: [reduceCode, sumCode],
  topLogits: [commonCode, reduceCode, topLogitsCode],
} satisfies Record<string, readonly string[]>;

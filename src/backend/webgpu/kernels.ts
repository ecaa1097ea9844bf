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
import attentionCachedStoreCode from "./attention_cached_store.wgsl" with { type: "text" };
import attentionForwardCode from "./attention_forward.wgsl" with { type: "text" };
import attentionTileCode from "./attention_tile.wgsl" with { type: "text" };
import columnSumsCode from "./column_sums.wgsl" with { type: "text" };
import commonCode from "./common.wgsl" with { type: "text" };
import crossEntropyCode from "./cross_entropy.wgsl" with { type: "text" };
import dropoutCode from "./dropout.wgsl" with { type: "text" };
import embeddingBackwardCode from "./embedding_backward.wgsl" with { type: "text" };
import embeddingForwardCode from "./embedding_forward.wgsl" with { type: "text" };
import fillCode from "./fill.wgsl" with { type: "text" };
import layernormBackwardCode from "./layernorm_backward.wgsl" with { type: "text" };
import layernormForwardCode from "./layernorm_forward.wgsl" with { type: "text" };
import matmulCode from "./matmul.wgsl" with { type: "text" };
import matmulEpilogueCode from "./matmul_epilogue.wgsl" with { type: "text" };
import matmulSplitsCode from "./matmul_splits.wgsl" with { type: "text" };
import reduceCode from "./reduce.wgsl" with { type: "text" };
import slicesCode from "./slices.wgsl" with { type: "text" };
import sumCode from "./sum.wgsl" with { type: "text" };

type Texts = readonly string[];

export const adamw: Texts = [commonCode, adamwCode];
export const add: Texts = [commonCode, addCode];
export const attentionBackwardKeys: Texts = [attentionTileCode, attentionBackwardKeysCode];
export const attentionBackwardQueries: Texts = [attentionTileCode, attentionBackwardQueriesCode];
export const attentionCached: Texts = [commonCode, attentionCachedCode];
export const attentionCachedStore: Texts = [commonCode, attentionCachedStoreCode];
export const attentionForward: Texts = [attentionTileCode, attentionForwardCode];
export const columnSums: Texts = [columnSumsCode];
export const crossEntropy: Texts = [commonCode, reduceCode, crossEntropyCode];
export const dropout: Texts = [commonCode, dropoutCode];
export const embeddingBackward: Texts = [commonCode, embeddingBackwardCode];
export const embeddingForward: Texts = [commonCode, embeddingForwardCode];
export const fill: Texts = [commonCode, fillCode];
export const layernormBackward: Texts = [commonCode, reduceCode, layernormBackwardCode];
export const layernormForward: Texts = [commonCode, reduceCode, layernormForwardCode];
export const matmul: Texts = [matmulEpilogueCode, matmulCode];
export const matmulPart: Texts = [matmulCode];
export const matmulSplits: Texts = [commonCode, matmulEpilogueCode, matmulSplitsCode];
export const slices: Texts = [slicesCode];
export const sum: Texts = [reduceCode, sumCode];

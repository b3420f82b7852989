// Owns the boundary between moeval and the module that runs ops on a GPU: one versioned table of C
// functions. The module (moeval_cuda, kernels/cuda) is loaded at run time; nothing else of it is
// visible, and no C++ type or exception crosses.
//
// Every function that can fail returns 0, or 1 with the reason in last_error(). Ops are put on the
// device's one stream and return at once; an error of an earlier op may come back from a later
// call. All pointers in ops are device memory unless they say host. Types: kDeviceF32, .. below; T
// is the type of weights, keys, values and of the activations between two products; the residual
// stream, scores and logits are fp32, sums are fp32.
#pragma once

#include <stdint.h>

extern "C" {

// Raised by every change of anything below.
#define MOEVAL_DEVICE_ABI 2u
#define MOEVAL_DEVICE_ENTRY "moeval_device_table"

enum { kDeviceF32 = 0, kDeviceF16 = 1, kDeviceBf16 = 2 };

// Positions in one block of keys and values, and places of a row for experts: as on the CPU.
enum { kDeviceKvBlock = 64, kDeviceMaxChosen = 16 };

typedef struct MoevalDevice MoevalDevice;  // one GPU, its stream and its libraries' handles
typedef struct MoevalGraph MoevalGraph;    // a captured sequence of ops

typedef struct MoevalDeviceInfo {
  char name[128];
  char uuid[64];
  int32_t major, minor;  // compute capability
  int32_t multiprocessors;
  int32_t driver, runtime, blas;  // versions, as CUDA counts them; blas: cuBLAS
  uint64_t total_bytes, free_bytes, l2_bytes;
} MoevalDeviceInfo;

// The rows of one step. A padding row has position -1: it reads and writes nothing.
typedef struct MoevalRows {
  int64_t m;
  const int32_t* tokens;     // [m]
  const int32_t* positions;  // [m]
  const int32_t* table_at;   // [m]: where the row's sequence begins in `tables`
  void* const* tables;       // addresses of KV blocks, layer 0
  const int32_t* tiles;      // [n_tiles, 2]: first row, number of rows (1..64), of one sequence,
  int64_t n_tiles;           // by position; 0: every row is a sequence of its own (decode)
} MoevalRows;

// A KV block of one layer: keys [n_kv_heads, 64, d_head], values [n_kv_heads, 64, d_head], of T. A
// block holds all layers, first to last.
typedef struct MoevalHeads {
  int32_t type;
  int64_t n_heads, n_kv_heads, d_head;
} MoevalHeads;

// Norm of q and k before they are rotated; rms_norm with weights [d_head], or, of a whole row at
// once, [n_heads * d_head] and [n_kv_heads * d_head].
typedef struct MoevalQkNorm {
  const float *q, *k;
  int32_t whole;
  float eps;
} MoevalQkNorm;

// How many experts a row may choose in one layer, shared ones not counted:
// kernels/select_experts.h.
typedef struct MoevalSelection {
  int32_t k, rule;   // rule: kernels::SelectRule
  int32_t n_shared;  // shared experts that the row runs
  float value, slope;
} MoevalSelection;

typedef struct MoevalRouting {
  const int32_t* positions;           // [m]; -1: chooses nothing
  const int32_t* budget_of;           // [m]
  const MoevalSelection* selections;  // [n_budgets, n_layers]
  int32_t layer, n_layers;
  int32_t n_shared, n_routed;
  int32_t gate_rule, trained_k;  // kernels::GateRule
  const float* scores;           // [m, n_routed]
  const float* shared_gates;     // [m, n_shared] logits of sigmoid weights; null: weight 1
  const void* input;             // [m, d] of T: what the router read, to tell the cause of a fault
  int32_t type;
  int64_t d;
  // Results: as engine/routing_trace.h; ids [m, 16] ascending with the shared ones first, then -1.
  int16_t* ids;
  float* weights;   // [m, 16]
  float* margins;   // [m]
  int32_t* faults;  // [m]: 0, or 1 + 2 * first layer + (input not finite)
} MoevalRouting;

// Rows by expert. capacity m * 16 places.
typedef struct MoevalDispatch {
  int32_t n_experts;
  int32_t* counts;   // [n_experts] rows of each expert
  int32_t* offsets;  // [n_experts + 1] exclusive sums of counts
  int32_t* active;   // [n_experts]: experts with rows, ascending, then -1
  int32_t* source;   // [places]: row of x that stands at a place
  int32_t* slot;     // [m, 16]: place of a row's j-th expert; -1: none
} MoevalDispatch;

// The whole way of a linear router: normed = norm of x, scores = normed router^T + bias, select,
// dispatch. routing.input is normed, routing.scores the scores, routing.shared_gates null.
typedef struct MoevalRoute {
  MoevalRouting routing;
  MoevalDispatch dispatch;
  const float *x, *norm_weight;  // x [m, d]
  float eps;
  const void* router;  // [n_routed, d] of T
  const float* bias;   // [n_routed] or null
  void* normed;        // [m, d] of T
  float* scores;       // scratch [m, n_routed]
} MoevalRoute;

// Feed-forward blocks of experts first..first+n-1, all of one width, weights of T stacked: gate, up
// [n * width, d], down [n * d, width].
typedef struct MoevalExperts {
  int32_t type, path;  // path: kDevicePath*
  int32_t first, n;
  int64_t d, width;
  const void *gate, *up, *down;
  const void* x;  // [m, d] of T
  int64_t m;
  int64_t places;  // upper bound of rows over all experts of this call, <= m * 16
  // Of as many places as the whole dispatch has, and places are numbered over all of it; up to 127
  // rows beyond may be read, never used. hidden: twice as many, for gate and up apart.
  void* gathered;  // scratch [places, d] of T
  void* hidden;    // scratch [2 * places, width] of T
  void* y;         // [places, d] of T: results by place
} MoevalExperts;

// What is done with the experts' results y [places, d] of T:
// x[r] += sum_j weights[r, j] * y[slot[r, j]] + the means of experts not in ids[r]. Where
// norm_weight is not null, also normed[r] = the norm of the new x[r], as rms_norm. A row without
// experts (ids[0] < 0) is padding: nothing of it is written.
typedef struct MoevalCombine {
  const int16_t* ids;    // [m, 16]
  const float* weights;  // [m, 16]
  const float* means;    // [n_experts, d], or null
  float* x;              // [m, d]
  const float* norm_weight;
  float eps;
  void* normed;  // [m, d] of T
} MoevalCombine;

// y = norm(x) W^T + bias, the norm rounded to T. x [.., d] fp32, of which row rows[i] (rows null:
// i) is the i-th; w [n_out, d] of T; bias fp32 or null; y [m, n_out] of y_type.
typedef struct MoevalNormMatmul {
  int32_t type, y_type;
  const float* x;
  const int32_t* rows;
  int64_t m, d, n_out;
  const float* norm_weight;
  float eps;
  void* normed;  // scratch [m, d] of T
  const void* w;
  const float* bias;
  void* y;
} MoevalNormMatmul;

enum {
  kDevicePathAuto = 0,
  kDevicePathPlain = 1,    // any type, any shape
  kDevicePathSkinny = 2,   // few rows of each expert: reads every weight once, no row is moved
  kDevicePathTensor = 3,   // sm_90: TMA and wgmma, sizes on the device
  kDevicePathGrouped = 4,  // cublasGemmGroupedBatchedEx: counts come to the host
  kDevicePathLooped = 5    // one cuBLAS product per expert: likewise
};

// What is known of one row of logits.
typedef struct MoevalHeadFacts {
  double log_sum_exp;  // nats
  int32_t argmax;      // the smallest id among equals
  int32_t finite;      // 1: every logit is
} MoevalHeadFacts;

typedef struct MoevalDeviceTable {
  uint32_t abi, bytes;  // MOEVAL_DEVICE_ABI and sizeof, of the module
  const char* (*last_error)(void);
  int (*count)(int32_t* n);
  int (*open)(int32_t index, MoevalDevice**);
  void (*close)(MoevalDevice*);
  int (*info)(MoevalDevice*, MoevalDeviceInfo*);

  int (*allocate)(MoevalDevice*, uint64_t bytes, void**);
  void (*release)(MoevalDevice*, void*);
  int (*allocate_host)(MoevalDevice*, uint64_t bytes, void**);  // pinned
  void (*release_host)(MoevalDevice*, void*);
  int (*upload)(MoevalDevice*, void* dst, const void* host, uint64_t bytes);
  int (*download)(MoevalDevice*, void* host, const void* src, uint64_t bytes);
  int (*zero)(MoevalDevice*, void* dst, uint64_t bytes);
  int (*copy_2d)(MoevalDevice*, void* dst, const void* src, uint64_t pitch, uint64_t width,
                 uint64_t height);  // both have the pitch
  int (*synchronize)(MoevalDevice*);

  int (*capture_begin)(MoevalDevice*);
  int (*capture_end)(MoevalDevice*, MoevalGraph**);
  int (*launch)(MoevalDevice*, MoevalGraph*);
  void (*release_graph)(MoevalDevice*, MoevalGraph*);
  int (*mark)(MoevalDevice*, int32_t slot);  // a time stamp in the stream; slot 0..15
  int (*elapsed_ms)(MoevalDevice*, int32_t from, int32_t to, float* ms);  // waits for both

  // x[r] = table[tokens[r]]; table of T, x [m, d] fp32.
  int (*embed)(MoevalDevice*, int32_t type, const void* table, const int32_t* tokens, int64_t m,
               int64_t d, float* x);
  // y[i] = norm of x[rows[i]] (rows null: of x[i]) times weight; x [.., d] fp32, y [m, d] of T.
  int (*rms_norm)(MoevalDevice*, int32_t type, const float* x, const int32_t* rows, int64_t m,
                  int64_t d, const float* weight, float eps, void* y);
  // y = x W^T + bias, or y += of it. x [m, n_in], w [n_out, n_in] of T; bias fp32 or null; y
  // [m, n_out] of y_type.
  int (*matmul)(MoevalDevice*, int32_t type, const void* x, int64_t m, const void* w, int64_t n_out,
                int64_t n_in, const float* bias, int32_t y_type, int32_t accumulate, void* y);
  int (*norm_matmul)(MoevalDevice*, const MoevalNormMatmul*);
  // Norms (unless norm->q is null) and rotates q and k of qkv [m, (n_heads + 2 n_kv_heads) *
  // d_head] of T in place; stores k and v. cos_sin [max_position, d_rot / 2, 2] fp32.
  int (*rope_and_store)(MoevalDevice*, const MoevalHeads*, const MoevalRows*, int32_t layer,
                        void* qkv, const MoevalQkNorm* norm, const float* cos_sin, int64_t d_rot,
                        int32_t interleaved);
  // out [m, n_heads * d_head] of T. scratch: attention_scratch() bytes.
  int (*attention)(MoevalDevice*, const MoevalHeads*, const MoevalRows*, int32_t layer,
                   const void* qkv, void* out, void* scratch);
  // rope_and_store, then attention; afterwards qkv is good for nothing.
  int (*rope_attention)(MoevalDevice*, const MoevalHeads*, const MoevalRows*, int32_t layer,
                        void* qkv, const MoevalQkNorm* norm, const float* cos_sin, int64_t d_rot,
                        int32_t interleaved, void* out, void* scratch);
  uint64_t (*attention_scratch)(MoevalDevice*, const MoevalHeads*, int64_t max_rows);
  // h = silu(gate) * up, or its absolute value; [m, n] of T.
  int (*swiglu)(MoevalDevice*, int32_t type, const void* gate, const void* up, int64_t m, int64_t n,
                int32_t absolute, void* h);
  // scores[r, e] = sum_i |silu(gates[r, e * width + i]) * scale[e * width + i]|; gates of T, fp32.
  int (*gate_scores)(MoevalDevice*, int32_t type, const void* gates, const float* scale, int64_t m,
                     int64_t n_routed, int64_t width, float* scores);
  int (*select)(MoevalDevice*, const MoevalRouting*, int64_t m);
  int (*dispatch)(MoevalDevice*, const int16_t* ids, int64_t m, const MoevalDispatch*);
  int (*route)(MoevalDevice*, const MoevalRoute*, int64_t m);
  int (*experts)(MoevalDevice*, const MoevalExperts*, const MoevalDispatch*);
  int (*combine)(MoevalDevice*, int32_t type, const void* y, const MoevalDispatch*,
                 const MoevalCombine*, int64_t m, int64_t d);
  // experts, then combine; the call's experts are all that there are. y, gathered and hidden are
  // scratch.
  int (*experts_combine)(MoevalDevice*, const MoevalExperts*, const MoevalDispatch*,
                         const MoevalCombine*);
  int (*head_facts)(MoevalDevice*, const float* logits, int64_t n, int64_t vocab, MoevalHeadFacts*);
  // out[i] = logits[rows[i], tokens[i]].
  int (*pick)(MoevalDevice*, const float* logits, int64_t vocab, const int32_t* rows,
              const int32_t* tokens, int64_t n, float* out);
} MoevalDeviceTable;

// The module's only symbol.
typedef const MoevalDeviceTable* (*MoevalDeviceEntry)(void);

}  // extern "C"

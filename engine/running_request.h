// Owns RunningRequest: one request between admission and completion. Its prompt is prefilled in
// chunks; then its continuations are scored on forks of the prompt's KV, and tokens are generated.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/cost_model.h"
#include "engine/head.h"
#include "engine/kv_cache.h"
#include "engine/ragged_batch.h"
#include "engine/request.h"
#include "engine/sampler.h"

namespace engine {

class RunningRequest;

// A row of a batch whose logits are needed, and what was read from them.
struct HeadRow {
  RunningRequest* owner = nullptr;
  int32_t row = 0;            // in the batch
  int32_t continuation = -1;  // -1: prompt or generated text
  int64_t index = 0;          // token of the continuation that the row holds
  bool finite = true;
  TokenId best = 0;  // argmax, of scoring rows
  TokenId next = 0;  // sampled, of generating rows
};

// What all requests of an engine share.
struct RequestContext {
  std::shared_ptr<KvPool> kv_pool;
  const CostModel& cost;
  const ModelConfig& config;
  // Memory of the weights that a query used: Weights::bytes_used.
  std::function<uint64_t(const RoutingTrace&)> bytes_used;
  int64_t max_tokens = 0;
};

// One step, as everybody in it sees it.
struct StepFacts {
  int64_t begin_ns = 0, end_ns = 0, rows = 0;
  double distinct_experts = 0;
  int32_t k_max = 0;
};

class RunningRequest {
 public:
  RunningRequest(Request, const RequestContext&, int64_t now_ns);

  // Positions that a request needs at least, when that is more than the context holds.
  static std::optional<std::string> too_long(const Request&, int64_t max_tokens);

  bool takes_a_stream() const { return request_.max_new_tokens > 0; }

  // Row of the last generated token, when the request is generating.
  void add_decode_row(RaggedBatch&, std::vector<HeadRow>&);
  // As many rows of the prompt, or of the continuations once the prompt is known, as there is room.
  void add_prefill_rows(RaggedBatch&, std::vector<HeadRow>&);

  // Notes router scores of its rows that are not finite; before any of its rows is read.
  void check_routing(const StepRouting&);
  // Adds what it wants to know of the logits of one of its rows.
  void ask(const HeadRow&, HeadAsks&) const;
  // Takes scores, logits and the next token from what came back. Rows may be read from several
  // threads at once.
  void read_head(HeadRow&, const HeadView&, SamplerScratch&);
  // Books a row that was read; rows in order.
  void advance(const HeadRow&, int64_t now_ns);
  // Called for every request after every step: books the experts of its rows; fails it for a fault
  // of the routing once its prompt has run, so that what is on record does not depend on steps.
  void end_step(const StepFacts&, const StepRouting&);

  bool done() const;
  void cancel();
  Completion take(int64_t now_ns);

 private:
  struct Continuation {
    std::optional<KvSequence> kv;  // forked when its first row runs
    int64_t next = 0;              // token whose row comes next
    std::vector<double> logprobs;
    bool greedy = true;
  };

  // Rows of the step at hand, and who pays for them.
  struct Span {
    int64_t first = 0, rows = 0, position = 0;  // of the first row
    CostModel::Book book = CostModel::Book::both;
  };

  int64_t prompt_tokens() const { return static_cast<int64_t>(request_.tokens.size()); }
  bool prompt_done() const { return prompt_next_ == prompt_tokens(); }
  void add_prompt_rows(RaggedBatch&, std::vector<HeadRow>&);
  void add_continuation_rows(int32_t i, RaggedBatch&, std::vector<HeadRow>&);
  CostModel::Book book_of_scores() const;
  void add_head_row(std::vector<HeadRow>&, int32_t row, int32_t continuation, int64_t index);
  void book_score(int32_t continuation, int64_t index, TokenId best, int64_t now_ns);
  void accept_token(TokenId, int64_t now_ns);
  void note_fault(const RouterFault&, int64_t position);
  void fail(Outcome, std::string detail);

  const Request request_;
  const RequestContext& context_;
  Completion completion_;
  KvSequence kv_;
  int64_t prompt_next_ = 0;  // prompt token whose row comes next
  std::vector<Continuation> continuations_;
  int64_t open_scores_ = 0;  // continuation tokens that have no score yet
  bool generating_ = false;
  TokenId last_token_ = 0;
  int64_t last_token_ns_ = 0;
  std::vector<Span> spans_;
  std::string fault_;  // of the routing, in words
  bool decoded_in_step_ = false;
  int64_t n_steps_ = 0, batch_rows_ = 0;
  double batch_experts_ = 0;
};

// Throws std::invalid_argument when a request is not one: no tokens, an id that the model does not
// have, an empty continuation, a budget that the model cannot run.
void check_request(const Request&, const ModelConfig&);

}  // namespace engine

// The residual stream has named dimensions; every weight moves, compares or writes some of them.
//
// Norms. Every embedding has the norm sqrt(d_model), by a padding dimension, so that RMSNorm leaves
// it as it is; later additions change it by a few percent, which no step below is sensitive to.
// Router. It reads the bias dimension only: the k chosen experts are 1 to k at every token.
// Attention. A score is a sum over rotary frequencies of amplitude * cos(distance * f - phase).
// Experts. A neuron is an AND: silu of (sum of flags - threshold) is 0 or a fixed positive number;
// the up projection carries a signed number through it.
// The answer is a sign. Expert 1 speaks against the right letter and the decisive expert eight
// times as strongly for it (the other way round for the inverse class). Experts are weighted nearly
// alike, so that how the gates are normalised changes the size of their sum and never its sign.
#include "engine/ladder/ladder_weights.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace engine::ladder {
namespace {

constexpr int kLetters = 4, kCodeBits = 8;
constexpr int kModel = Shape::kModel, kHead = Shape::kHead, kWidth = Shape::kWidth;

enum Dim : int {
  kBias,
  kPad,
  kIsLetter,
  kIsOption,
  kIsKey,
  kIsClue,
  kIsGauge,
  kLetter,                               // of a letter token
  kCode = kLetter + kLetters,            // of a clue and of its option: the same
  kFiller = kCode + kCodeBits,           // of a filler word
  kClass = kFiller + kFillers,           // of a key word
  kSite = kClass + kClasses,             // of a key word
  kOpening = kSite + kSites,             // of a key word: what expert 1 says, +1 right, -1 wrong
  kFoundLetter,                          // at an option: its letter
  kFoundCode = kFoundLetter + kLetters,  // after a clue
  kFoundClass = kFoundCode + kCodeBits,  // after a key word
  kFoundSite = kFoundClass + kClasses,
  kFoundOpening = kFoundSite + kSites,
  kKeyEvidence,                      // written at the key word
  kEvidence,                         // at the answer: positive = right
  kThermometer,                      // at the gauge word: experts that ran
  kRight = kThermometer + kExperts,  // at the answer: the right letter
  kOut = kRight + kLetters,          // logits
  kUsed = kOut + kLetters
};
static_assert(kUsed <= kModel);

constexpr double kDecisive = 8;  // weight of the decisive expert; expert 1 has 1
constexpr double kGate = 100;    // a true gate is near kGate / 2, a false one below -kGate / 3
constexpr double kPerGate = 2 / kGate;
constexpr double kRouterStep = 0.02;  // between the router logits of neighbours

// Rows of a Hadamard matrix and their negatives: 16 codes of 8 signs; the product of two is 8 when
// they are the same, else 0 or -8.
double code_bit(int code, int bit) {
  int parity = code / kCodeBits;
  for (int both = (code % kCodeBits) & bit; both != 0; both >>= 1) parity ^= both & 1;
  return parity % 2 == 0 ? 1 : -1;
}

struct Matrix {
  Matrix(int64_t n_out, int64_t n_in) : rows(n_out), columns(n_in), values(n_out * n_in) {}
  double& at(int64_t row, int64_t column) { return values[row * columns + column]; }

  int64_t rows, columns;
  std::vector<double> values;
};

struct Flag {
  int dim;
  double weight;
};

struct Expert {
  Matrix gate{kWidth, kModel}, up{kWidth, kModel}, down{kModel, kWidth};
  int used = 0;

  // One neuron: w_down * silu(all flags of `when` are up) * (w_up * x).
  void add(const std::vector<int>& when, const std::vector<Flag>& carried,
           const std::vector<Flag>& written) {
    assert(used < kWidth);
    for (const int flag : when) gate.at(used, flag) = kGate;
    // Found flags are a little below 1 and three of them lose together.
    const double slack = when.size() > 2 ? 0.6 : 0.5;
    gate.at(used, kBias) = -kGate * (static_cast<double>(when.size()) - slack);
    for (const Flag& f : carried) up.at(used, f.dim) = f.weight;
    for (const Flag& f : written) down.at(f.dim, used) = f.weight;
    ++used;
  }
};

class Layer {
 public:
  Layer() : experts(kExperts) {}

  Matrix q{kModel, kModel}, k{kModel, kModel}, v{kModel, kModel}, o{kModel, kModel};
  std::vector<Expert> experts;

  // Adds amplitude * cos(distance * f_i - phase) to the score of every earlier token with `flag`.
  // In the rotate-half convention dimensions i and i + kHead / 2 of a head make a pair.
  void look_back(int head, int i, int flag, double amplitude, double phase) {
    const int first = head * kHead + i, second = first + kHead / 2;
    const double a = std::sqrt(amplitude * std::sqrt(kHead));
    q.at(first, kBias) += a * std::cos(phase);
    q.at(second, kBias) -= a * std::sin(phase);
    k.at(first, flag) += a;
  }

  // The latest token with `flag`: the score falls along the steep part of a cosine. It is largest
  // at the latest one up to a distance of 600 tokens.
  void look_at_latest(int head, int flag, double amplitude) {
    for (const int i : {6, 7}) look_back(head, i, flag, amplitude / 2, -std::acos(-1.0) / 4);
  }

  // What the head fetches: n dimensions from `source` there to `target` here.
  void fetch(int head, int slot, int source, int target, int n) {
    assert(slot + n <= kHead);
    for (int j = 0; j < n; ++j) {
      v.at(head * kHead + slot + j, source + j) = 1;
      o.at(target + j, head * kHead + slot + j) = 1;
    }
  }
};

double frequency(int i) { return std::pow(Shape::kTheta, -2.0 * i / kHead); }

// Expert e (1 to 16) writes for the classes that it decides: difficulty e, and the inverse class.
struct Decision {
  int cls;
  double sign;
};

std::vector<Decision> decided_by(int expert, const Words& words) {
  std::vector<Decision> out;
  if (expert > 1) out.push_back({expert - 1, kDecisive});
  if (expert == words.inverse_expert) out.push_back({kInverse, -kDecisive});
  return out;
}

// Layer 0: options learn their letters, the tokens after a question its key and clue; experts write
// the thermometer at the gauge word and the evidence at key words of site kKey.
void build_first(Layer& l, const Words& words) {
  for (int i = 0; i < 4; ++i) l.look_back(0, i, kIsLetter, 30, 2 * frequency(i));
  l.fetch(0, 0, kLetter, kFoundLetter, kLetters);
  l.look_at_latest(1, kIsKey, 800);
  l.fetch(1, 0, kClass, kFoundClass, kClasses);
  l.fetch(1, kClasses, kSite, kFoundSite, kSites);
  l.fetch(1, kClasses + kSites, kOpening, kFoundOpening, 1);
  l.look_at_latest(2, kIsClue, 800);
  l.fetch(2, 0, kCode, kFoundCode, kCodeBits);

  const double strength = 0.05 * kPerGate;
  l.experts[0].add({kSite + kKey}, {{kOpening, 1}}, {{kKeyEvidence, strength}});
  for (int e = 1; e <= kExperts; ++e) {
    Expert& expert = l.experts[e - 1];
    expert.add({kIsGauge}, {{kBias, 1}}, {{kThermometer + e - 1, 0.5 * kPerGate}});
    for (const Decision& d : decided_by(e, words))
      expert.add({kClass + d.cls, kSite + kKey}, {{kBias, 1}}, {{kKeyEvidence, d.sign * strength}});
  }
}

// Layer 1: evidence comes together at the answer: fetched from the key word, read off the
// thermometer by expert 1, or written here.
void build_middle(Layer& l, const Words& words) {
  l.look_at_latest(1, kIsKey, 800);
  l.fetch(1, 0, kKeyEvidence, kEvidence, 1);
  l.look_back(2, kHead / 2 - 1, kIsGauge, 60, 0);
  l.fetch(2, 0, kThermometer, kThermometer, kExperts);

  const double strength = 0.05 * kPerGate, read = 0.6 * kPerGate;
  for (int cls = 0; cls < kClasses; ++cls) {
    const bool opens_right = cls == 0 || cls == kInverse;
    std::vector<Flag> balance{{kThermometer, opens_right ? 1.0 : -1.0}};
    if (cls > 0 && cls < kNever) balance.push_back({kThermometer + cls, kDecisive});
    if (cls == kInverse) balance.push_back({kThermometer + words.inverse_expert - 1, -kDecisive});
    l.experts[0].add({kFoundClass + cls, kFoundSite + kPrefix}, balance, {{kEvidence, read}});
  }
  l.experts[0].add({kFoundSite + kMiddle}, {{kFoundOpening, 1}}, {{kEvidence, strength}});
  for (int e = 1; e <= kExperts; ++e)
    for (const Decision& d : decided_by(e, words))
      l.experts[e - 1].add({kFoundClass + d.cls, kFoundSite + kMiddle}, {{kBias, 1}},
                           {{kEvidence, d.sign * strength}});
}

// Layer 2: the answer finds the option that fits the clue and fetches its letter; positive evidence
// is written to that letter and taken from the next one, which is the wrong answer.
void build_last(Layer& l, const Words& words) {
  l.look_at_latest(0, kIsOption, 600);
  for (int bit = 0; bit < kCodeBits; ++bit) {
    // Frequencies so low that distance does not matter.
    const int row = 10 + bit / 2 + bit % 2 * (kHead / 2);
    const double a = std::sqrt(100.0 / kCodeBits * std::sqrt(kHead));
    l.q.at(row, kFoundCode + bit) = a;
    l.k.at(row, kCode + bit) = a;
  }
  l.fetch(0, 0, kFoundLetter, kRight, kLetters);

  const double gain = 300 * kPerGate, strength = 40 * kPerGate;
  for (int letter = 0; letter < kLetters; ++letter) {
    const auto verdict = [letter](double size) -> std::vector<Flag> {
      return {{kOut + letter, size}, {kOut + (letter + 1) % kLetters, -size}};
    };
    const int right = kRight + letter;
    l.experts[0].add({right}, {{kEvidence, 100}}, verdict(gain));
    l.experts[0].add({kFoundSite + kLast, right}, {{kFoundOpening, 1}}, verdict(strength));
    for (int e = 1; e <= kExperts; ++e)
      for (const Decision& d : decided_by(e, words))
        l.experts[e - 1].add({kFoundClass + d.cls, kFoundSite + kLast, right}, {{kBias, 1}},
                             verdict(d.sign * strength));
  }
}

Matrix embeddings(const Words& words, const TokenIds& tokens) {
  Matrix embed(static_cast<int64_t>(tokens.size()), kModel);
  const auto id = [&](const std::string& text) { return tokens.at(text); };
  const auto put = [&](const std::string& word, int dim, double value) {
    embed.at(id(" " + word), dim) = value;
  };
  for (int i = 0; i < kLetters; ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    embed.at(id(letter), kIsLetter) = 1;
    embed.at(id(letter), kLetter + i) = 1;
  }
  for (int i = 0; i < kPairs; ++i) {
    const auto& [clue, option] = words.pairs[i];
    put(clue, kIsClue, 1);
    put(option, kIsOption, 1);
    for (int bit = 0; bit < kCodeBits; ++bit)
      for (const auto& word : {clue, option}) put(word, kCode + bit, code_bit(i, bit));
  }
  for (int i = 0; i < kFillers; ++i) put(words.fillers[i], kFiller + i, 1);
  for (int cls = 0; cls < kClasses; ++cls)
    for (int site = 0; site < kSites; ++site) {
      const std::string& key = words.keys[cls][site];
      put(key, kIsKey, 1);
      put(key, kClass + cls, 1);
      put(key, kSite + site, 1);
      put(key, kOpening, cls == 0 || cls == kInverse ? 1 : -1);
    }
  put(words.gauge, kIsGauge, 1);
  for (int64_t row = 0; row < embed.rows; ++row) {
    embed.at(row, kBias) = 1;
    double squares = 0;
    for (int dim = 0; dim < kModel; ++dim) squares += embed.at(row, dim) * embed.at(row, dim);
    embed.at(row, kPad) = std::sqrt(kModel - squares);
  }
  return embed;
}

Matrix output_head(const TokenIds& tokens) {
  Matrix head(static_cast<int64_t>(tokens.size()), kModel);
  for (int i = 0; i < kLetters; ++i)
    head.at(tokens.at(std::string(" ") + static_cast<char>('A' + i)), kOut + i) = 5;
  return head;
}

class TensorList {
 public:
  void add(std::string name, const Matrix& m) {
    tensors_.push_back({std::move(name), {m.rows, m.columns}, {m.values.begin(), m.values.end()}});
  }
  void add_norm(std::string name) {
    tensors_.push_back({std::move(name), {kModel}, std::vector<float>(kModel, 1.0f)});
  }
  std::vector<Tensor> take() { return std::move(tensors_); }

 private:
  std::vector<Tensor> tensors_;
};

}  // namespace

std::vector<Tensor> make_weights(const Words& words, const TokenIds& tokens) {
  assert(words.inverse_expert > 1 && words.inverse_expert <= kExperts);
  std::vector<Layer> layers(Shape::kLayers);
  build_first(layers[0], words);
  build_middle(layers[1], words);
  build_last(layers[2], words);
  Matrix router(kExperts, kModel);
  for (int e = 0; e < kExperts; ++e) router.at(e, kBias) = -kRouterStep * e;

  TensorList list;
  list.add("model.embed_tokens.weight", embeddings(words, tokens));
  list.add("lm_head.weight", output_head(tokens));
  list.add_norm("model.norm.weight");
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& l = layers[i];
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    list.add_norm(layer + "input_layernorm.weight");
    list.add_norm(layer + "post_attention_layernorm.weight");
    list.add(layer + "self_attn.q_proj.weight", l.q);
    list.add(layer + "self_attn.k_proj.weight", l.k);
    list.add(layer + "self_attn.v_proj.weight", l.v);
    list.add(layer + "self_attn.o_proj.weight", l.o);
    list.add(layer + "block_sparse_moe.gate.weight", router);
    for (size_t e = 0; e < l.experts.size(); ++e) {
      const std::string expert = layer + "block_sparse_moe.experts." + std::to_string(e) + ".";
      list.add(expert + "w1.weight", l.experts[e].gate);
      list.add(expert + "w2.weight", l.experts[e].down);
      list.add(expert + "w3.weight", l.experts[e].up);
    }
  }
  return list.take();
}

}  // namespace engine::ladder

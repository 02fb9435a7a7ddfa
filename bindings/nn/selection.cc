// Selective training of a tree of nodes, in Lua.
#include "engine/optim/selection.h"

#include <ATen/Functions.h>

#include "absl/strings/str_cat.h"
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/nn/optimizer.h"
#include "bindings/tensor/tensor.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(optim::Selection, "optim.Selection");

namespace {

struct SelectOptions : optim::SelectionOptions {
  int64_t given_seed = 0;
};
template <typename Visit>
void Fields(Visit&& visit, SelectOptions& options) {
  optim::Fields(visit, static_cast<optim::SelectionOptions&>(options));
  visit({"domains", "rows of the histogram of leaves", 1}, options.domains);
  visit({"seed", "of random draws"}, options.given_seed);
}

// train.fit has checked the options.
std::shared_ptr<optim::Selection> Select(lua_State* L, optim::Optimizer& optimizer, nn::Module& model,
                                         Anything options) {
  SelectOptions o;
  ReadFields(L, options.index, "select", o);
  o.seed = static_cast<uint64_t>(o.given_seed);
  nn::FoundTree found = Value(nn::FindTree(model));
  const auto selection = Value(optim::Selection::Make(std::move(found.nodes), std::move(found.parameters), o));
  for (const optim::Group& group : optimizer.groups()) {
    const auto dampening = group.options.find("dampening");
    // Its first step is not dampened, which slices of a parameter would take at different times.
    if (o.moments == "lazy" && dampening != group.options.end() && dampening->second != 0) {
      Check(ConfigError(absl::StrCat("select.moments 'lazy' does not go with optim.dampening ", dampening->second,
                                     "; use dampening 0 or moments 'global'")));
    }
  }
  optimizer.SetMask(selection);
  return selection;
}

std::vector<double> Numbers(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(c10::kCPU, c10::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

// What the selection has done so far; this reads from the device.
nlohmann::json Report(const optim::Selection& self) {
  const nn::NodeTree& tree = self.tree();
  const std::vector<double> count = Numbers(self.count()), effective = Numbers(self.effective()),
                            last = Numbers(self.last()), score_sum = Numbers(self.score_sum()),
                            delta_sum = Numbers(self.delta_sum()), distance = Numbers(self.Distance()),
                            factors = Numbers(self.factors()), score = Numbers(self.score());
  const double steps = static_cast<double>(self.steps());
  nlohmann::json nodes = nlohmann::json::array();
  for (int64_t i = 0; i < tree.nodes(); ++i) {
    const auto at = static_cast<size_t>(i);
    nlohmann::json node = {{"node", i},
                           {"label", tree.Label(i)},
                           {"level", tree.level(i)},
                           {"parent", tree.parent(i)},
                           {"leaf", tree.level(i) + 1 == tree.levels()},
                           {"parameters", self.ParametersOf(i)},
                           {"count", count[at]},
                           {"effective", effective[at]},
                           {"distance", distance[at]},
                           {"mean_score", steps > 0 ? score_sum[at] / steps : 0},
                           {"mean_delta", steps > 0 ? delta_sum[at] / steps : 0},
                           {"factor", factors[at]},
                           {"score", score[at]}};
    if (last[at] > 0) node["last"] = last[at];
    if (const auto number = tree.Number(i)) node["number"] = *number;
    nodes.push_back(node);
  }
  nlohmann::json histogram = nlohmann::json::array();
  for (int64_t row = 0; row < self.histogram().size(0); ++row) histogram.push_back(Numbers(self.histogram()[row]));
  return {{"steps", self.steps()},
          {"rule", self.options().rule},
          {"entry_share", self.entry_share()},
          {"shared", self.options().shared},
          {"apply", self.options().apply},
          {"moments", self.options().moments},
          {"no_signal", Numbers(self.no_signal())[0]},
          {"bad", Numbers(self.bad())[0]},
          {"nodes", nodes},
          {"histogram", histogram}};
}

// A copy, which the next update does not change.
at::Tensor Score(const optim::Selection& self) { return self.score().clone(); }

std::vector<std::string> Rules() {
  std::vector<std::string> names;
  for (const auto& [name, spec] : optim::SelectionRules()) names.push_back(name);
  return names;
}

const std::vector<FunctionRow> kFunctions = {
    {"selection_rules", "", "Names of the rules of selective training, sorted.", Typed<&Rules>},
    {"select", "optimizer, model, dict options",
     "From now on the optimiser moves only what a rule selects of the model's tree (nn.Tree). train.fit calls this for "
     "its section `select`; options and rules are described there.",
     Typed<&Select>},
};
const std::vector<FunctionRow> kMethods = {
    {"Selection:report", "",
     "Counts so far: {steps=, no_signal=, bad=, rule=, apply=, moments=, shared=, entry_share=, nodes={{label=, "
     "level=, parameters=, count=, effective=, distance=, mean_score=, mean_delta=, last=, number=}, ...}, "
     "histogram={{...}, ...}}; distance is the norm of what changed since the start, no_signal counts updates without "
     "a gradient, bad those with one that is not finite, which move nothing, mean_delta that of one update, number the "
     "published one (0, 4, 43, 432), entry_share the part of a node's weights that moves with it, the histogram has a "
     "row for each domain and a column for each leaf.",
     Typed<&Report>},
    {"Selection:score", "",
     "The gradient norm of every node in the last update, in the order of report's nodes; no value is read.",
     Typed<&Score>},
};

}  // namespace

void RegisterSelection(lua_State* L) {
  RegisterRows(L, "optim", kFunctions);
  DefineType<optim::Selection>(L);
  RegisterRows(L, "optim", kMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua

#include "engine/data/formats/yaml.h"

#include <yaml-cpp/yaml.h>

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/files/files.h"

namespace lanthorn::data {
namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 32;     // levels: a list may hold itself by an alias
constexpr size_t kMost = 10000;  // values: aliases of aliases grow without end

// Reads the nodes of one file. What is wrong is thrown as a string with the line in front.
class Reader {
 public:
  void Mapping(const YAML::Node& node, const std::string& above, int depth) {
    Guard(node, depth);
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) throw At(entry.first, "a key that is not a name");
      const std::string path = above.empty() ? entry.first.Scalar() : above + "." + entry.first.Scalar();
      const int64_t line = entry.first.Mark().line + 1;
      const auto [other, is_new] = lines_.emplace(path, line);
      if (!is_new) throw At(entry.first, absl::StrCat(path, " is given twice; line ", other->second, " has it too"));
      if (entry.second.IsMap()) {
        Mapping(entry.second, path, depth + 1);
      } else {
        settings_.push_back({path, line, Value(entry.second, depth + 1)});
      }
    }
  }
  std::vector<YamlSetting> settings_;

 private:
  static std::string At(const YAML::Node& node, const std::string& what) {
    return absl::StrCat("line ", node.Mark().line + 1, ": ", what);
  }

  void Guard(const YAML::Node& node, int depth) {
    if (depth > kDeepest) throw At(node, absl::StrCat("more than ", kDeepest, " levels, or a list that holds itself"));
    if (++values_ > kMost) throw At(node, absl::StrCat("more than ", kMost, " values"));
  }

  Json Value(const YAML::Node& node, int depth) {
    Guard(node, depth);
    switch (node.Type()) {
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        return nullptr;
      case YAML::NodeType::Scalar:
        return Scalar(node);
      case YAML::NodeType::Sequence: {
        Json list = Json::array();
        for (const auto& item : node) list.push_back(Value(item, depth + 1));
        return list;
      }
      case YAML::NodeType::Map: {
        Json object = Json::object();
        for (const auto& entry : node) {
          if (!entry.first.IsScalar()) throw At(entry.first, "a key that is not a name");
          const std::string& name = entry.first.Scalar();
          if (object.contains(name)) throw At(entry.first, absl::StrCat(name, " is given twice"));
          object[name] = Value(entry.second, depth + 1);
        }
        return object;
      }
    }
    return nullptr;
  }

  static Json Scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text;  // quoted
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
    if (int64_t whole; absl::SimpleAtoi(text, &whole)) return whole;
    if (double number; absl::SimpleAtod(text, &number)) return number;
    return text;
  }

  size_t values_ = 0;
  std::map<std::string, int64_t> lines_;  // of the keys, by path
};

}  // namespace

absl::StatusOr<std::vector<YamlSetting>> ReadYaml(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Reader reader;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return DataError(absl::StrCat("'", path, "': ", documents.size(), " documents, divided by ---; expected one"));
    }
    const YAML::Node root = documents.empty() ? YAML::Node() : documents[0];
    if (root.IsNull())
      return DataError(absl::StrCat("'", path, "': nothing in it; expected settings, such as run.seed"));
    if (!root.IsMap()) return DataError(absl::StrCat("'", path, "': expected `name: value` lines at the top"));
    reader.Mapping(root, "", 0);
  } catch (const YAML::Exception& error) {
    return DataError(absl::StrCat("'", path, "', line ", error.mark.line + 1, ": ", error.msg));
  } catch (const std::string& problem) {
    return DataError(absl::StrCat("'", path, "', ", problem));
  }
  return std::move(reader.settings_);
}

}  // namespace lanthorn::data

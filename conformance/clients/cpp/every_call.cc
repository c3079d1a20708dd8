// The calls of calls.py: what each answered, in the lines of python/every_call.py.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <sstream>
#include <utility>

#include "client.h"

namespace pb = google::protobuf;

namespace {

struct Found {
  string path, value, name;
};

string hexadecimal(const string& octets) {
  string out;
  char text[3];
  for (unsigned char octet : octets) {
    snprintf(text, sizeof text, "%02x", octet);
    out += text;
  }
  return out;
}

// One value of a field; at is its place in a repeated one, -1 in others.
string value_of(const pb::Message& message, const pb::FieldDescriptor* field, int at) {
  const auto* read = message.GetReflection();
  switch (field->cpp_type()) {
#define READ(kind) (at < 0 ? read->Get##kind(message, field) : read->GetRepeated##kind(message, field, at))
    case pb::FieldDescriptor::CPPTYPE_INT32: return to_string(READ(Int32));
    case pb::FieldDescriptor::CPPTYPE_INT64: return to_string(READ(Int64));
    case pb::FieldDescriptor::CPPTYPE_UINT32: return to_string(READ(UInt32));
    case pb::FieldDescriptor::CPPTYPE_UINT64: return to_string(READ(UInt64));
    case pb::FieldDescriptor::CPPTYPE_BOOL: return READ(Bool) ? "true" : "false";
    case pb::FieldDescriptor::CPPTYPE_ENUM: return to_string(READ(EnumValue));
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      string text = READ(String);
      return field->type() == pb::FieldDescriptor::TYPE_BYTES ? hexadecimal(text) : text;
    }
#undef READ
    default: return "?";
  }
}

void walk(const pb::Message& message, const string& start, std::vector<Found>* found) {
  const auto* read = message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  read->ListFields(message, &fields);
  for (const auto* field : fields) {
    int count = field->is_repeated() ? read->FieldSize(message, field) : 1;
    for (int number = 0; number < count; ++number) {
      int at = field->is_repeated() ? number : -1;
      string path = start + field->name();
      if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) {
        if (at >= 0) path += "[" + to_string(at) + "]";
        found->push_back({path, value_of(message, field, at), field->name()});
        continue;
      }
      const auto& inner = at < 0 ? read->GetMessage(message, field) : read->GetRepeatedMessage(message, field, at);
      if (field->is_map()) {
        const auto* entry = inner.GetDescriptor();
        string key = value_of(inner, entry->FindFieldByNumber(1), -1);
        found->push_back({path + "{" + key + "}", value_of(inner, entry->FindFieldByNumber(2), -1), field->name()});
      } else {
        walk(inner, path + (at < 0 ? "" : "[" + to_string(at) + "]") + ".", found);
      }
    }
  }
}

void replace(string* text, const string& from, const string& to) {
  for (size_t at = 0; (at = text->find(from, at)) != string::npos; at += to.size()) text->replace(at, from.size(), to);
}

std::unique_ptr<pb::Message> make(const string& name) {
  const auto* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  return std::unique_ptr<pb::Message>(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

grpc::Status ask(Stubs& stubs, const string& method, const pb::Message& request, const string& who, pb::Message* answer) {
  grpc::GenericStub generic(stubs.channel);
  grpc::ClientContext context;
  arm(context, 20000, false);
  if (who != "-") context.AddMetadata("authorization", "Bearer " + who);
  grpc::Slice sent(request.SerializeAsString());
  grpc::ByteBuffer octets(&sent, 1), told;
  grpc::CompletionQueue queue;
  grpc::Status status;
  auto call = generic.PrepareUnaryCall(&context, "/" + method, octets, &queue);
  call->StartCall();
  call->Finish(&told, &status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  if (!status.ok()) return status;
  std::vector<grpc::Slice> slices;
  told.Dump(&slices);
  string all;
  for (const auto& slice : slices) all.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  if (!answer->ParseFromString(all)) return grpc::Status(grpc::StatusCode::INTERNAL, "the answer cannot be read");
  return status;
}

}  // namespace

string step_every_call(Stubs& stubs) {
  std::stringstream calls(std::getenv("IDIS_CALLS"));
  string line, word;
  std::getline(calls, line);
  std::set<string> volatiles;
  for (std::stringstream words(line); std::getline(words, word, ',');) volatiles.insert(word);
  std::vector<std::pair<string, string>> known = {{"NODE", token}, {"RUN", run}};
  Lines found;
  while (std::getline(calls, line)) {
    Lines columns;
    for (size_t start = 0, end; start <= line.size(); start = end + 1) {
      end = std::min(line.find('\t', start), line.size());
      columns.push_back(line.substr(start, end - start));
    }
    string name = columns[0], who = columns[4], keep = columns[5], json = columns[6];
    for (const auto& [variable, value] : known) {
      replace(&who, "$" + variable, value);
      replace(&json, "$" + variable, value);
    }
    auto request = make(columns[2]), answer = make(columns[3]);
    auto parsed = pb::util::JsonStringToMessage(json, request.get());
    if (!parsed.ok()) return "{\"raised\":" + quoted(name + ": " + string(parsed.message())) + "}";
    auto status = ask(stubs, columns[1], *request, who, answer.get());
    Lines said;
    if (!status.ok()) {
      auto told = outcome(status);
      string text = to_string(told.code) + (told.reason.empty() ? "" : " " + told.reason);
      for (const auto& field : told.fields) text += " " + field.substr(1, field.size() - 2);
      said = {text, told.message};
    } else if (name.back() != '?') {
      std::vector<Found> all;
      walk(*answer, "", &all);
      size_t middle = keep.find('=');
      for (const auto& each : all) {
        said.push_back(each.path + "=" + (volatiles.count(each.name) ? "*" : each.value));
        if (!keep.empty() && each.path == keep.substr(middle + 1)) known.push_back({keep.substr(0, middle), each.value});
      }
      std::sort(said.begin(), said.end());
    }
    for (auto& each : said) {
      replace(&each, run, "$RUN");
      each = quoted(each);
    }
    found.push_back(quoted(name) + ":" + list(said));
  }
  string out = "{";
  for (const auto& each : found) out += (out.size() > 1 ? "," : "") + each;
  return out + "}";
}

// The dialogue by gRPC's C++ client with code generated from proto/ by Debian's protoc.
// Steps, names and lines are those of python/dialogue.py.
#include <grpcpp/generic/generic_stub.h>
#include <openssl/sha.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include "client.h"
#include "rich_error.pb.h"

constexpr size_t kMillion = 1000000;
constexpr size_t kWatched = 3006;

string address, token, prefix, run;

string quoted(const string& text) {
  string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

string list(const Lines& items) {
  string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? "," : "") + item;
  return out + "]";
}

string digest(const Lines& lines) {
  string all;
  for (const auto& line : lines) all += (&line == &lines[0] ? "" : "\n") + line;
  unsigned char octets[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), octets);
  char text[17];
  for (int at = 0; at < 8; ++at) snprintf(text + 2 * at, 3, "%02x", octets[at]);
  return text;
}

string numbered(int number) {
  char text[16];
  snprintf(text, sizeof text, "%04d", number);
  return text;
}

void arm(grpc::ClientContext& context, int timeout_ms, bool credential) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  if (credential) context.AddMetadata("authorization", "Bearer " + token);
}

string Outcome::line() const {
  if (code == 0) return "{\"code\":0}";
  return "{\"code\":" + to_string(code) + ",\"message\":" + quoted(message) + ",\"reason\":" + quoted(reason) +
         ",\"fields\":" + list(fields) + "}";
}

Outcome outcome(const grpc::Status& status) {
  Outcome found{status.error_code(), status.error_message(), "", {}};
  google::rpc::Status rich;
  rich.ParseFromString(status.error_details());
  for (const auto& detail : rich.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    if (detail.UnpackTo(&info)) found.reason = info.reason();
    if (detail.UnpackTo(&bad))
      for (const auto& each : bad.field_violations()) found.fields.push_back(quoted(each.field()));
  }
  return found;
}

string raised(const grpc::Status& status) {
  return "{\"raised\":" + quoted(to_string(status.error_code()) + ": " + status.error_message()) + "}";
}

template <class Misses>
string misses_of(const Misses& misses) {
  Lines out;
  for (const auto& each : misses)
    out.push_back("[" + to_string(each.position()) + "," + to_string(each.code()) + "," + quoted(each.reason()) + "]");
  return list(out);
}

void fill(v1::NewHandle* row, const string& name, size_t octets) {
  row->set_name(name);
  auto* value = row->add_values();
  value->set_index(1);
  value->set_type("URL");
  value->set_data(string(octets, 'x'));
}

grpc::Status resolve(Stubs& stubs, const string& name, v1::ResolveResponse* answer) {
  grpc::ClientContext context;
  arm(context, 20000, false);
  v1::ResolveRequest request;
  request.set_name(name);
  return stubs.resolution->Resolve(&context, request, answer);
}

grpc::Status resolve_batch(Stubs& stubs, const Lines& names, v1::BatchResolveResponse* answer, bool gzip = false) {
  grpc::ClientContext context;
  arm(context, 20000, false);
  if (gzip) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::BatchResolveRequest request;
  for (const auto& name : names) request.add_names(name);
  return stubs.resolution->BatchResolve(&context, request, answer);
}

string step_unary(Stubs& stubs) {
  v1::ResolveResponse answer;
  auto status = resolve(stubs, prefix + "/interop-fixed", &answer);
  if (!status.ok()) return raised(status);
  Lines values;
  for (const auto& each : answer.record().values())
    values.push_back("[" + to_string(each.index()) + "," + quoted(each.type()) + "," + quoted(each.data()) + "," +
                     to_string(each.ttl_s()) + "]");
  return "{\"name\":" + quoted(answer.record().name()) + ",\"version\":" + to_string(answer.record().version()) +
         ",\"values\":" + list(values) + "}";
}

string step_refused(Stubs& stubs) {
  v1::ResolveResponse answer;
  return outcome(resolve(stubs, "", &answer)).line();
}

string step_unknown_name(Stubs& stubs) {
  v1::ResolveResponse answer;
  return outcome(resolve(stubs, prefix + "/没有 100%", &answer)).line();
}

// A request without a single octet, to any method.
grpc::Status ask_nothing(Stubs& stubs, const string& method, bool credential) {
  grpc::GenericStub generic(stubs.channel);
  grpc::ClientContext context;
  arm(context, 20000, credential);
  grpc::CompletionQueue queue;
  grpc::ByteBuffer nothing, answer;
  grpc::Slice none;
  nothing = grpc::ByteBuffer(&none, 1);
  grpc::Status status;
  auto call = generic.PrepareUnaryCall(&context, "/" + method, nothing, &queue);
  call->StartCall();
  call->Finish(&answer, &status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  return status;
}

string step_unknown_method(Stubs& stubs) {
  auto status = ask_nothing(stubs, "resolver.v1.ResolutionService/Guess", false);
  return "{\"code\":" + to_string(status.error_code()) + "}";
}

string step_every_method(Stubs& stubs) {
  std::stringstream methods(std::getenv("IDIS_METHODS"));
  Lines found;
  for (string method; std::getline(methods, method, ',');) {
    Lines said;
    for (bool credential : {true, false}) {
      auto told = outcome(ask_nothing(stubs, method, credential));
      string text = to_string(told.code) + (told.reason.empty() ? "" : " " + told.reason);
      for (const auto& field : told.fields) text += " " + field.substr(1, field.size() - 2);
      said.push_back(quoted(text));
    }
    found.push_back(quoted(method.substr(method.find('/') + 1)) + ":" + list(said));
  }
  string out = "{";
  for (const auto& each : found) out += (out.size() > 1 ? "," : "") + each;
  return out + "}";
}

string step_deadline(Stubs& stubs) {
  auto started = std::chrono::steady_clock::now();
  grpc::ClientContext context;
  arm(context, 400, true);
  auto reader = stubs.changes->Watch(&context, v1::WatchRequest());
  v1::WatchResponse answer;
  while (reader->Read(&answer)) {
  }
  auto status = reader->Finish();
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  bool in_time = took.count() > 0.3 && took.count() < 60.0;
  return "{\"code\":" + to_string(status.error_code()) + ",\"in_time\":" + (in_time ? "true" : "false") + "}";
}

string step_cancel(Stubs& stubs) {
  grpc::ClientContext context;
  arm(context, 30000, true);
  v1::WatchRequest request;
  request.set_from_serial(1);
  auto reader = stubs.changes->Watch(&context, request);
  v1::WatchResponse answer;
  bool any = reader->Read(&answer);
  context.TryCancel();
  v1::WatchResponse more;
  while (reader->Read(&more)) {
  }
  auto status = reader->Finish();
  return "{\"first\":" + to_string(any ? answer.changes(0).change().serial() : 0) +
         ",\"code\":" + to_string(status.error_code()) + "}";
}

string step_batch(Stubs& stubs) {
  v1::BatchResolveResponse answer;
  Lines names;
  for (const char* suffix : {"interop-fixed", "interop-none", "", "interop-w-0001"}) names.push_back(prefix + "/" + suffix);
  auto status = resolve_batch(stubs, names, &answer);
  if (!status.ok()) return raised(status);
  Lines records;
  for (const auto& record : answer.records()) records.push_back(quoted(record.name()));
  return "{\"records\":" + list(records) + ",\"misses\":" + misses_of(answer.misses()) + "}";
}

string step_stream(Stubs& stubs) {
  grpc::ClientContext context;
  arm(context, 30000, true);
  auto stream = stubs.resolution->StreamResolve(&context);
  std::thread writer([&] {
    for (int number = 0; number < 1000; ++number) {
      v1::StreamResolveRequest question;
      question.set_tag(7 * number);
      question.set_name(prefix + "/interop-" + (number % 10 == 9 ? "none" : "w-" + numbered(number)));
      if (!stream->Write(question)) break;
    }
    stream->WritesDone();
  });
  Lines found;
  size_t records = 0, misses = 0;
  v1::StreamResolveResponse answer;
  while (stream->Read(&answer)) {
    for (int at = 0; at < answer.records_size(); ++at, ++records)
      found.push_back(to_string(answer.tags(at)) + " " + answer.records(at).name());
    for (const auto& each : answer.misses()) {
      found.push_back(to_string(each.position()) + " " + to_string(each.code()));
      ++misses;
    }
  }
  writer.join();
  auto status = stream->Finish();
  if (!status.ok()) return raised(status);
  std::sort(found.begin(), found.end());
  return "{\"records\":" + to_string(records) + ",\"misses\":" + to_string(misses) +
         ",\"digest\":" + quoted(digest(found)) + "}";
}

string step_import_handles(Stubs& stubs) {
  grpc::ClientContext context;
  arm(context, 30000, true);
  auto stream = stubs.registration->ImportHandles(&context);
  std::thread writer([&] {
    for (int sequence : {1, 2, 3, 3}) {
      v1::ImportHandlesRequest chunk;
      chunk.set_import_id(run);
      chunk.set_sequence(sequence);
      for (int row = 0; row < 100; ++row)
        fill(chunk.add_handles(), prefix + "/" + run + "-" + to_string(sequence) + "-" + to_string(row), 100);
      if (!stream->Write(chunk)) break;
    }
    stream->WritesDone();
  });
  Lines chunks;
  v1::ImportHandlesResponse answer;
  while (stream->Read(&answer)) {
    int good = 0;
    for (const auto& row : answer.results()) good += row.code() == 0;
    chunks.push_back("[" + to_string(answer.sequence()) + "," + to_string(good) + "," +
                     to_string(answer.durable_sequence()) + "," + (answer.repeated_chunk() ? "true" : "false") + "]");
  }
  writer.join();
  auto status = stream->Finish();
  if (!status.ok()) return raised(status);
  return "{\"chunks\":" + list(chunks) + "}";
}

string step_slow_watch(Stubs& stubs) {
  grpc::ClientContext context;
  arm(context, 30000, true);
  v1::WatchRequest request;
  request.set_from_serial(1);
  request.set_include_records(true);
  request.set_stop_at_end(true);
  auto reader = stubs.changes->Watch(&context, request);
  Lines names;
  size_t gaps = 0, octets = 0, last = 0;
  v1::WatchResponse answer;
  while (reader->Read(&answer)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(last == 0 ? 300 : 20));
    for (const auto& each : answer.changes()) {
      gaps += each.change().serial() != last + 1;
      last = each.change().serial();
      if (names.size() >= kWatched || each.change().name().rfind(prefix + "/interop-", 0) != 0) continue;
      names.push_back(each.change().name());
      for (const auto& value : each.record().values()) octets += value.data().size();
    }
  }
  auto status = reader->Finish();
  if (!status.ok()) return raised(status);
  return "{\"changes\":" + to_string(names.size()) + ",\"gaps\":" + to_string(gaps) +
         ",\"octets\":" + to_string(octets) + ",\"digest\":" + quoted(digest(names)) + "}";
}

grpc::Status large(Stubs& stubs, size_t last, v1::BatchCreateHandlesResponse* answer) {
  grpc::ClientContext context;
  arm(context, 20000, true);
  v1::BatchCreateHandlesRequest request;
  for (int number = 0; number < 5; ++number)
    fill(request.add_handles(), prefix + "/large-" + to_string(number), number < 4 ? kMillion : last);
  request.set_validate_only(true);
  return stubs.registration->BatchCreateHandles(&context, request, answer);
}

string step_large_up(Stubs& stubs) {
  v1::BatchCreateHandlesResponse answer;
  auto status = large(stubs, 190000, &answer);
  if (!status.ok()) return raised(status);
  Lines codes;
  for (const auto& row : answer.results()) codes.push_back(to_string(row.code()));
  return "{\"codes\":" + list(codes) + "}";
}

string step_too_large_up(Stubs& stubs) {
  v1::BatchCreateHandlesResponse answer;
  auto found = outcome(large(stubs, 300000, &answer));
  return "{\"code\":" + to_string(found.code) + ",\"reason\":" + quoted(found.reason) + "}";
}

string step_large_down(Stubs& stubs) {
  v1::BatchResolveResponse answer;
  Lines names;
  for (int number = 0; number < 5; ++number) names.push_back(prefix + "/interop-big-" + to_string(number));
  auto status = resolve_batch(stubs, names, &answer);
  if (!status.ok()) return raised(status);
  size_t octets = 0;
  for (const auto& record : answer.records()) octets += record.values(0).data().size();
  return "{\"octets\":" + to_string(octets) + ",\"misses\":" + misses_of(answer.misses()) + "}";
}

Outcome enterprises(Stubs& stubs, const std::multimap<string, string>& metadata) {
  grpc::ClientContext context;
  arm(context, 20000, false);
  for (const auto& each : metadata) context.AddMetadata(each.first, each.second);
  v1::ListEnterprisesResponse answer;
  return outcome(stubs.registry->ListEnterprises(&context, v1::ListEnterprisesRequest(), &answer));
}

string step_metadata(Stubs& stubs) {
  string octets;
  for (int octet = 0; octet < 256; ++octet) octets += static_cast<char>(octet);
  auto none = enterprises(stubs, {});
  auto bad = enterprises(stubs, {{"authorization", "Bearer idis_no_such_token"}});
  auto good = enterprises(
      stubs, {{"authorization", "Bearer " + token}, {"x-interop-bin", octets}, {"x-interop", "a, b"}});
  return "{\"without\":[" + to_string(none.code) + "," + quoted(none.reason) + "],\"bad\":[" + to_string(bad.code) +
         "," + quoted(bad.reason) + "],\"good\":" + to_string(good.code) + "}";
}

string step_gzip(Stubs& stubs) {
  v1::BatchResolveResponse answer;
  Lines names;
  for (int number = 0; number < 500; ++number) names.push_back(prefix + "/interop-w-" + numbered(number));
  auto status = resolve_batch(stubs, names, &answer, true);
  if (!status.ok()) return raised(status);
  return "{\"records\":" + to_string(answer.records_size()) + ",\"misses\":" + to_string(answer.misses_size()) + "}";
}

string step_follow(Stubs& stubs) {
  grpc::ClientContext context;
  arm(context, 30000, true);
  auto stream = stubs.mirror->Follow(&context);
  v1::FollowRequest request;
  request.set_mirror_id("no such/id");
  stream->Write(request);
  stream->WritesDone();
  v1::FollowResponse answer;
  while (stream->Read(&answer)) {
  }
  auto found = outcome(stream->Finish());
  return "{\"code\":" + to_string(found.code) + ",\"reason\":" + quoted(found.reason) +
         ",\"fields\":" + list(found.fields) + "}";
}

string octets_of(const string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream octets;
  octets << file.rdbuf();
  return octets.str();
}

int main(int count, char** given) {
  if (count < 5) return 2;
  address = given[1];
  token = given[2];
  prefix = given[3];
  run = given[4];
  std::map<string, string> files;
  for (int at = 5; at + 1 < count; at += 2) files[given[at]] = octets_of(given[at + 1]);
  auto credentials = grpc::InsecureChannelCredentials();
  if (files.count("--ca")) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = files["--ca"];
    options.pem_private_key = files["--key"];
    options.pem_cert_chain = files["--certificate"];
    credentials = grpc::SslCredentials(options);
  }
  Stubs stubs(grpc::CreateChannel(address, credentials));
  const std::vector<std::pair<string, std::function<string(Stubs&)>>> steps = {
      {"unary", step_unary},
      {"refused", step_refused},
      {"unknown_name", step_unknown_name},
      {"unknown_method", step_unknown_method},
      {"deadline", step_deadline},
      {"cancel", step_cancel},
      {"batch", step_batch},
      {"stream", step_stream},
      {"import_handles", step_import_handles},
      {"slow_watch", step_slow_watch},
      {"large_up", step_large_up},
      {"too_large_up", step_too_large_up},
      {"large_down", step_large_down},
      {"metadata", step_metadata},
      {"gzip", step_gzip},
      {"every_method", step_every_method},
      {"every_call", step_every_call},
      {"follow", step_follow},
  };
  for (const auto& [name, step] : steps)
    std::cout << "{\"step\":" << quoted(name) << ",\"found\":" << step(stubs) << "}" << std::endl;
  return 0;
}

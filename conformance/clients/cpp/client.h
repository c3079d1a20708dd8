// What the files of the C++ client share.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "resolver/v1/changes.grpc.pb.h"
#include "resolver/v1/mirror.grpc.pb.h"
#include "resolver/v1/registration.grpc.pb.h"
#include "resolver/v1/registry.grpc.pb.h"
#include "resolver/v1/resolution.grpc.pb.h"

namespace v1 = resolver::v1;
using std::string;
using std::to_string;
using Lines = std::vector<string>;

extern string address, token, prefix, run;

string quoted(const string& text);
string list(const Lines& items);
void arm(grpc::ClientContext& context, int timeout_ms, bool credential);

struct Outcome {
  int code;
  string message, reason;
  Lines fields;
  string line() const;
};

Outcome outcome(const grpc::Status& status);

struct Stubs {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::ResolutionService::Stub> resolution;
  std::unique_ptr<v1::RegistrationService::Stub> registration;
  std::unique_ptr<v1::RegistryService::Stub> registry;
  std::unique_ptr<v1::ChangesService::Stub> changes;
  std::unique_ptr<v1::MirrorService::Stub> mirror;
  explicit Stubs(std::shared_ptr<grpc::Channel> made)
      : channel(made),
        resolution(v1::ResolutionService::NewStub(made)),
        registration(v1::RegistrationService::NewStub(made)),
        registry(v1::RegistryService::NewStub(made)),
        changes(v1::ChangesService::NewStub(made)),
        mirror(v1::MirrorService::NewStub(made)) {}
};

string step_every_call(Stubs& stubs);

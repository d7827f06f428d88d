// The gRPC adapter over real sockets on the loopback, with the logic on a simulated disk.
#include "server/grpc/grpc_server.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "base/real_runtime.h"
#include "penstock/v1/api.grpc.pb.h"
#include "penstock/v1/host.grpc.pb.h"
#include "server/server.h"
#include "server/sim_audit_log.h"
#include "store/sim/sim_store.h"

namespace penstock {
namespace {

class GrpcServerTest : public ::testing::Test {
 protected:
  GrpcServerTest()
      : runtime(Tunables{}),
        store(runtime, disk),
        audit(runtime, paper),
        server(runtime, log, store, audit) {
    grpc.emplace(runtime, log, server.api(), server.sessions());
    std::promise<void> up;
    runtime.post([&] {
      server.start(
          [this](const std::string& secret) -> Status {
            admin = secret;
            return {};
          },
          [&](Status status) {
            EXPECT_TRUE(status);
            EXPECT_TRUE(grpc->listen("127.0.0.1", 0));
            up.set_value();
          });
    });
    thread = std::thread([this] { runtime.run(); });
    up.get_future().wait();
    channel = grpc::CreateChannel(fmt::format("127.0.0.1:{}", grpc->port()),
                                  grpc::InsecureChannelCredentials());
  }
  ~GrpcServerTest() override {
    std::promise<void> down;
    runtime.post_from_any_thread([&] { grpc->stop([&] { down.set_value(); }); });
    EXPECT_EQ(down.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    runtime.stop();
    thread.join();
  }
  std::unique_ptr<grpc::ClientContext> context(const std::string& secret) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    context->AddMetadata("authorization", "Bearer " + secret);
    return context;
  }
  v1::PutResponse put(v1::Object object) {
    v1::PutRequest request;
    v1::PutResponse response;
    *request.mutable_object() = std::move(object);
    const auto status =
        v1::Resources::NewStub(channel)->Put(context(admin).get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  NullLog log;
  RealRuntime runtime;
  SimDisk disk{"life"};
  SimStore store;
  SimAuditPaper paper;
  SimAuditLog audit;
  Server server;
  std::optional<GrpcServer> grpc;
  std::thread thread;
  std::string admin;
  std::shared_ptr<grpc::Channel> channel;
};

TEST_F(GrpcServerTest, CallsAnswerAndErrorsCarryTheFailure) {
  v1::WhoAmIResponse who;
  auto stub = v1::System::NewStub(channel);
  EXPECT_TRUE(stub->WhoAmI(context(admin).get(), {}, &who).ok());
  EXPECT_EQ(who.user(), "admin");
  const auto wrong = context("pst_wrong");
  const auto status = stub->WhoAmI(wrong.get(), {}, &who);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  const auto& trailer = wrong->GetServerTrailingMetadata();
  const auto found = trailer.find("penstock-failure-bin");
  ASSERT_NE(found, trailer.end());
  v1::Failure failure;
  ASSERT_TRUE(failure.ParseFromArray(found->second.data(), static_cast<int>(found->second.size())));
  EXPECT_EQ(failure.code(), "unauthenticated");
}

TEST_F(GrpcServerTest, Patches) {
  v1::Object object;
  object.mutable_tenant()->mutable_metadata()->set_name("acme");
  put(object);
  v1::PatchRequest request;
  request.set_kind("Tenant");
  request.set_name("acme");
  request.set_patch(R"({"spec": {"displayName": "Acme"}})");
  v1::PutResponse response;
  auto stub = v1::Resources::NewStub(channel);
  ASSERT_TRUE(stub->Patch(context(admin).get(), request, &response).ok());
  EXPECT_EQ(response.outcome().change(), v1::WriteOutcome::UPDATED);
  EXPECT_EQ(response.object().tenant().spec().display_name(), "Acme");
  request.set_patch(R"({"spec": {"displayNam": "Acme"}})");
  EXPECT_EQ(stub->Patch(context(admin).get(), request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(GrpcServerTest, WatchesStream) {
  v1::WatchRequest request;
  request.set_kind("Tenant");
  const auto call = context(admin);
  const auto reader = v1::Resources::NewStub(channel)->Watch(call.get(), request);
  v1::WatchEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.type(), v1::WatchEvent::BOOKMARK);
  v1::Object object;
  object.mutable_tenant()->mutable_metadata()->set_name("acme");
  put(object);
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.type(), v1::WatchEvent::ADDED);
  call->TryCancel();
  while (reader->Read(&event)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(GrpcServerTest, AHostsSession) {
  v1::Object host, token;
  host.mutable_host()->mutable_metadata()->set_name("h1");
  auto& uplink = *host.mutable_host()->mutable_spec()->add_uplinks();
  uplink.set_name("u0");
  uplink.set_device("eth0");
  uplink.set_address("192.0.2.1");
  uplink.set_mtu(1500);
  put(host);
  token.mutable_token()->mutable_metadata()->set_name("h1");
  token.mutable_token()->mutable_spec()->set_host("h1");
  const auto secret = put(token).object().token().status().secret();

  const auto call = context(secret);
  const auto stream = v1::HostSession::NewStub(channel)->Connect(call.get());
  v1::HostMessage message;
  message.mutable_hello()->set_host("h1");
  ASSERT_TRUE(stream->Write(message));
  v1::ServerMessage answer;
  ASSERT_TRUE(stream->Read(&answer));
  ASSERT_TRUE(answer.has_full()) << answer.ShortDebugString();
  EXPECT_EQ(answer.full().items_size(), 1);  // its switch
  message.Clear();
  *message.mutable_ack()->mutable_position() = answer.position();
  ASSERT_TRUE(stream->Write(message));
  ASSERT_TRUE(stream->Read(&answer));  // a heartbeat, within a second
  EXPECT_TRUE(answer.has_heartbeat());

  const auto refused_call = context(admin);
  const auto refused = v1::HostSession::NewStub(channel)->Connect(refused_call.get());
  message.mutable_hello()->set_host("h1");
  ASSERT_TRUE(refused->Write(message));
  ASSERT_TRUE(refused->Read(&answer));
  EXPECT_TRUE(answer.has_refused());
  EXPECT_FALSE(refused->Read(&answer));
  EXPECT_TRUE(refused->Finish().ok());
  // The first stream is still open when the server stops: that must not hang.
}

}  // namespace
}  // namespace penstock

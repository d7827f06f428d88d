// Many hosts at once, as the server sees them: each a connection and a session of its own, with a
// switch that records. What comes is taken apart, kept by key and acknowledged with its digest; no
// kernel is touched.
//
//   penstock-many-hosts --server ADDRESS:PORT --tokens FILE [--forget]
//
// FILE has a line "NAME TOKEN" for each host. They reconnect for ever. Each time all of them are in
// step a line of JSON says when (CLOCK_MONOTONIC, s) and what was sent since the last time. With
// --forget they hold nothing when they connect, and are sent everything; without it they say what
// they hold, as hosts do that have only lost their server.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <CLI/CLI.hpp>

#include "base/digest.h"
#include "penstock/v1/host.grpc.pb.h"

namespace {

using namespace penstock;
using namespace std::chrono_literals;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// visit(field, bytes of a length-delimited field); numbers are skipped.
template <typename Visit>
bool each_field(std::string_view message, Visit&& visit) {
  CodedInputStream in(reinterpret_cast<const std::uint8_t*>(message.data()),
                      static_cast<int>(message.size()));
  while (const auto tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      continue;
    }
    std::uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const auto at = static_cast<std::size_t>(in.CurrentPosition());
    if (at + size > message.size()) return false;
    visit(WireFormatLite::GetTagFieldNumber(tag), message.substr(at, size));
    if (!in.Skip(static_cast<int>(size))) return false;
  }
  return true;
}

// What all hosts have in common.
class Fleet {
 public:
  void expect(std::size_t hosts) { missing_ = hosts_ = hosts; }
  void sent(std::size_t items, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    ++fulls_;
    items_ += items;
    bytes_ += bytes;
  }
  void left() {
    const std::lock_guard lock(mutex_);
    ++missing_;
  }
  void in_step() {
    const std::lock_guard lock(mutex_);
    if (--missing_ > 0) return;
    const auto now =
        std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch());
    fmt::print(R"({{"in_step_at": {:.6f}, "hosts": {}, "fulls": {}, "items": {}, "bytes": {}}})"
               "\n",
               now.count(), hosts_, fulls_, items_, bytes_);
    std::fflush(stdout);
    fulls_ = items_ = bytes_ = 0;
  }

 private:
  std::mutex mutex_;
  std::size_t hosts_ = 0, missing_ = 0, fulls_ = 0, items_ = 0, bytes_ = 0;
};

struct Host {
  std::string name, token;
  std::unique_ptr<grpc::GenericStub> stub;
  v1::Position position;
  SetDigest digest;
  std::unordered_map<std::string, Digest> items;

  void put(std::string_view bytes) {
    each_field(bytes, [&](int field, std::string_view key) {
      if (field != v1::IntentItem::kKeyFieldNumber) return;
      auto& slot = items[std::string(key)];
      if (slot != Digest{}) digest.remove(slot);
      slot = penstock::digest(bytes);
      digest.add(slot);
    });
  }
  void remove(const std::string& key) {
    const auto found = items.find(key);
    if (found == items.end()) return;
    digest.remove(found->second);
    items.erase(found);
  }
  void forget() {
    items.clear();
    digest = {};
    position.Clear();
  }
};

class Stream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(Fleet& fleet, Host& host, bool forget) : fleet_(fleet), host_(host), forget_(forget) {}

  void begin() {
    if (forget_) host_.forget();
    context_ = std::make_unique<grpc::ClientContext>();
    context_->set_wait_for_ready(true);  // the channel tries again by itself
    context_->AddMetadata("authorization", "Bearer " + host_.token);
    host_.stub->PrepareBidiStreamingCall(context_.get(), "/penstock.v1.HostSession/Connect", {},
                                         this);
    AddHold();
    v1::HostMessage message;
    auto& hello = *message.mutable_hello();
    hello.set_host(host_.name);
    *hello.mutable_position() = host_.position;
    hello.set_digest(host_.digest.text());
    hello.set_version("recording");
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    write(message);
    StartRead(&incoming_);
    StartCall();
  }
  void heartbeat() {
    v1::HostMessage message;
    {
      const std::lock_guard lock(mutex_);
      if (!in_step_) return;
      *message.mutable_heartbeat()->mutable_position() = acked_;
    }
    write(message);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return end();
    std::vector<grpc::Slice> slices;
    (void)incoming_.Dump(&slices);
    std::string joined;
    std::string_view bytes;
    if (slices.size() == 1) {
      bytes = {reinterpret_cast<const char*>(slices[0].begin()), slices[0].size()};
    } else {
      for (const auto& slice : slices)
        joined.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
      bytes = joined;
    }
    take(bytes);
    incoming_.Clear();
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    outbox_.pop_front();
    if (ok && open_ && !outbox_.empty()) StartWrite(&outbox_.front());
  }
  void OnDone(const grpc::Status&) override {
    std::thread([this] {
      std::this_thread::sleep_for(20ms);
      {
        const std::lock_guard lock(mutex_);
        outbox_.clear();
      }
      begin();
    }).detach();
  }

 private:
  void write(const v1::HostMessage& message) {
    grpc::ByteBuffer bytes;
    bool own = false;
    (void)grpc::SerializationTraits<v1::HostMessage>::Serialize(message, &bytes, &own);
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    outbox_.push_back(std::move(bytes));
    if (outbox_.size() == 1) StartWrite(&outbox_.front());
  }
  void end() {
    bool was = false;
    {
      const std::lock_guard lock(mutex_);
      if (!std::exchange(open_, false)) return;
      was = std::exchange(in_step_, false);
    }
    if (was) fleet_.left();
    RemoveHold();
  }
  void take(std::string_view message) {
    bool intent = false;
    v1::Position position;
    each_field(message, [&](int field, std::string_view bytes) {
      if (field == v1::ServerMessage::kPositionFieldNumber) {
        position.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
      } else if (field == v1::ServerMessage::kFullFieldNumber) {
        intent = true;
        host_.forget();
        each_field(bytes, [&](int, std::string_view item) { host_.put(item); });
        fleet_.sent(host_.items.size(), message.size());
      } else if (field == v1::ServerMessage::kDeltaFieldNumber) {
        intent = true;
        each_field(bytes, [&](int part, std::string_view item) {
          if (part == v1::Delta::kPutFieldNumber) host_.put(item);
          if (part == v1::Delta::kRemoveFieldNumber) host_.remove(std::string(item));
        });
      }
    });
    if (!intent) return;
    host_.position = position;
    v1::HostMessage answer;
    *answer.mutable_ack()->mutable_position() = position;
    answer.mutable_ack()->set_digest(host_.digest.text());
    write(answer);
    const std::lock_guard lock(mutex_);
    acked_ = position;
    if (!std::exchange(in_step_, true)) fleet_.in_step();
  }

  Fleet& fleet_;
  Host& host_;
  const bool forget_;
  std::unique_ptr<grpc::ClientContext> context_;
  grpc::ByteBuffer incoming_;
  std::mutex mutex_;  // what follows; the rest belongs to gRPC's calls, which come one by one
  std::deque<grpc::ByteBuffer> outbox_;
  v1::Position acked_;
  bool open_ = false, in_step_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  std::string server, tokens;
  bool forget = false;
  CLI::App app("many hosts with a recording switch");
  app.add_option("--server", server)->required();
  app.add_option("--tokens", tokens)->required();
  app.add_flag("--forget", forget);
  CLI11_PARSE(app, argc, argv);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  std::vector<std::unique_ptr<Host>> hosts;
  std::ifstream file(tokens);
  for (std::string name, token; file >> name >> token;) {
    auto& host = *hosts.emplace_back(std::make_unique<Host>());
    host.name = name;
    host.token = token;
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);       // a connection each
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);  // as session_reconnect_min_ms
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20'000);   // limits the connecting itself
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetMaxReceiveMessageSize(-1);
    host.stub = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments));
  }
  if (hosts.empty()) return fmt::print(stderr, "{} names no host\n", tokens), 1;
  Fleet fleet;
  fleet.expect(hosts.size());
  std::vector<std::unique_ptr<Stream>> streams;
  for (auto& host : hosts)
    streams.emplace_back(std::make_unique<Stream>(fleet, *host, forget))->begin();
  while (true)
    for (auto& stream : streams) {
      stream->heartbeat();
      std::this_thread::sleep_for(1s / static_cast<double>(streams.size()));
    }
}

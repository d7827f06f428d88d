#include "server/sessions.h"

#include <algorithm>
#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include "base/ensure.h"
#include "server/authorize.h"
#include "server/session_protocol.h"

namespace penstock {

struct HostSessions::Host {
  std::string name;
  View view;
  Session* session = nullptr;

  std::int64_t last_sent = 0;
  std::deque<std::int64_t> in_flight;  // revisions sent and not acknowledged, oldest first
  HostChange gathering;
  std::int64_t gathering_revision = 0;
  bool flush_planned = false;
  SetDigest should;  // of what it should hold, while it has a session

  // Its whole intent is to be sent, or under way to the stream.
  enum class Full { kNone, kWanted, kSending };
  Full full = Full::kNone;
  bool new_incarnation = false;

  // Items whose latest change is not acknowledged yet, and the order in which they were noted.
  std::map<std::string, std::int64_t, std::less<>> unacked;
  std::deque<std::pair<std::int64_t, std::string>> trail;

  MonoTime audited{};

  void forget_flight() {
    in_flight.clear();
    gathering = {};
    unacked.clear();
    trail.clear();
    view.not_ready.clear();
    view.in_step = false;
  }
};

struct HostSessions::Session {
  SessionId id;
  std::string secret, client;
  std::string claims;  // the host that its hello named
  HostChannel* channel = nullptr;
  Host* host = nullptr;  // since its hello
  MonoTime heard{};
};

void HostChannel::send_serialized(std::string bytes, Task written) {
  v1::ServerMessage message;
  ensure(message.ParseFromString(bytes), "a message made here can be read");
  send(std::move(message));
  written();
}

namespace {

// ServerMessage.full, byte by byte as SerializeToString would write it.
std::string serialize_full(const v1::Position& position, std::span<const ItemPtr> items,
                           bool new_incarnation) {
  using google::protobuf::internal::WireFormatLite;
  v1::ServerMessage message;
  *message.mutable_position() = position;
  v1::Full rest;
  rest.set_new_incarnation(new_incarnation);
  const auto tail = rest.SerializeAsString();
  std::size_t size = tail.size();
  for (const auto& item : items)
    size += 1 + WireFormatLite::LengthDelimitedSize(item->bytes.size());
  auto out = message.SerializeAsString();
  out.reserve(out.size() + size + 16);
  google::protobuf::io::StringOutputStream stream(&out);
  google::protobuf::io::CodedOutputStream coded(&stream);
  const auto length_delimited = [&](int field, std::size_t bytes) {
    coded.WriteTag(WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
    coded.WriteVarint32(static_cast<std::uint32_t>(bytes));
  };
  length_delimited(v1::ServerMessage::kFullFieldNumber, size);
  for (const auto& item : items) {
    length_delimited(v1::Full::kItemsFieldNumber, item->bytes.size());
    coded.WriteString(item->bytes);
  }
  coded.WriteString(tail);
  return out;
}

ObjectKey host_key(std::string_view name) {
  return ObjectKey::of<v1::Host>("", name);
}

}  // namespace

HostSessions::HostSessions(Runtime& runtime, Log& log, Engine& engine, Compiler& compiler,
                           Journal& journal)
    : runtime_(runtime), log_(log), engine_(engine), compiler_(compiler), journal_(journal) {}
HostSessions::~HostSessions() = default;

// --- life of a session

SessionId HostSessions::opened(std::string secret, HostChannel& channel, std::string client) {
  const SessionId id{next_session_++};
  auto session = std::make_unique<Session>();
  session->id = id;
  session->secret = std::move(secret);
  session->channel = &channel;
  session->client = std::move(client);
  session->heard = runtime_.now();
  sessions_.emplace(id.value, std::move(session));
  watch_over(id);
  return id;
}

void HostSessions::received(SessionId id, const v1::HostMessage& message) {
  const auto found = sessions_.find(id.value);
  if (found == sessions_.end()) return;
  auto& session = *found->second;
  session.heard = runtime_.now();
  switch (message.message_case()) {
    case v1::HostMessage::kHello:
      return hello(session, message.hello());
    case v1::HostMessage::kAck:
      return ack(session, message.ack());
    case v1::HostMessage::kHeartbeat:
      if (session.host) heartbeat(session.host->view, message.heartbeat());
      return;
    case v1::HostMessage::kFlowLog:
      return flow_log(session, message.flow_log());
    case v1::HostMessage::kTrace:
      if (session.host && on_trace) on_trace(session.host->name, message.trace());
      return;
    case v1::HostMessage::kProbe:
      if (session.host && on_probe) on_probe(session.host->name, message.probe());
      return;
    case v1::HostMessage::kPreview:
      if (session.host && on_preview) on_preview(session.host->name, message.preview());
      return;
    case v1::HostMessage::kCounters:
      if (session.host && on_counters) on_counters(session.host->name, message.counters());
      return;
    case v1::HostMessage::kMove:
      if (session.host && on_move) on_move(session.host->name, message.move());
      return;
    case v1::HostMessage::kFlows:
      if (session.host && on_flows) on_flows(session.host->name, message.flows());
      return;
    default:
      return;  // of a newer host: what we do not know changes nothing
  }
}

void HostSessions::closed(SessionId id) {
  const auto found = sessions_.find(id.value);
  if (found == sessions_.end()) return;
  const auto session = std::move(found->second);
  sessions_.erase(found);
  detach(*session, "the stream ended");
}

void HostSessions::refuse(Session& session, const Error& error) {
  v1::ServerMessage message;
  *message.mutable_position() = engine_.position();
  message.mutable_refused()->set_code(std::string(name(error.code)));
  message.mutable_refused()->set_message(error.message);
  session.channel->send(std::move(message));
  session.channel->close();
  log_.warning("a host session was refused: {}", error.message);
  if (on_refused && engine_.serving()) on_refused(session.claims, session.client, error);
  const auto keep = std::move(sessions_.at(session.id.value));
  sessions_.erase(session.id.value);
  detach(*keep, error.message);
}

void HostSessions::refuse_ahead(Session& session, Host& host, const v1::Position& holds) {
  const auto store = engine_.position();
  Error error{
      Code::kFailedPrecondition,
      fmt::format("host {} holds revision {} (epoch {}), the store is at {} (epoch {}): was "
                  "it restored from a backup, or does another server lead?",
                  host.name, holds.revision(), holds.epoch(), store.revision(), store.epoch()),
      {},
      "after restoring a backup start penstockd once with --restored; until then the host "
      "goes on with what it has"};
  // Said aloud once, not at every try of the host.
  if (host.view.ahead.empty()) log_.error("{}; {}", error.message, error.hint);
  host.view.ahead = error.message + "; " + error.hint;
  refuse(session, error);
}

void HostSessions::detach(Session& session, std::string_view why) {
  auto* host = std::exchange(session.host, nullptr);
  if (!host || host->session != &session) return;
  host->session = nullptr;
  host->view.connected = false;
  host->view.since = runtime_.wall();
  host->forget_flight();
  full_over(*host);
  journal_.event(v1::Event::WARNING, "HostAway", host_key(host->name),
                 fmt::format("the session ended: {}; the host goes on with what it has", why),
                 "controller", engine_.head().revision());
  if (on_progress) on_progress(host->name, nullptr);
}

// Runs as long as the session is there: heartbeats, silence, revoked tokens, audits.
void HostSessions::watch_over(SessionId id) {
  const auto& tunables = runtime_.tunables();
  runtime_.after(std::chrono::milliseconds(tunables.session_heartbeat_ms), [this, id] {
    const auto found = sessions_.find(id.value);
    if (found == sessions_.end()) return;
    auto& session = *found->second;
    const auto& tunables = runtime_.tunables();
    if (runtime_.now() - session.heard > std::chrono::milliseconds(tunables.session_lost_ms)) {
      session.channel->close();
      const auto keep = std::move(found->second);
      sessions_.erase(found);
      return detach(*keep, "nothing was heard of it");
    }
    if (session.host) {
      const auto who = identify(engine_.head(), session.secret, runtime_.wall());
      if (!who) return refuse(session, who.error());
      v1::ServerMessage message;
      *message.mutable_position() = engine_.position();
      message.mutable_position()->set_revision(session.host->last_sent);
      message.mutable_heartbeat();
      session.channel->send(std::move(message));
      audit(*session.host);
      audit_own_account();
    }
    watch_over(id);
  });
}

// --- bringing a host to the present

void HostSessions::hello(Session& session, const v1::Hello& hello) {
  session.claims = hello.host();
  if (!engine_.serving())
    return refuse(session, {Code::kUnavailable, "the server does not serve yet", {}, ""});
  const auto who = identify(engine_.head(), session.secret, runtime_.wall());
  if (!who) return refuse(session, who.error());
  if (const auto allowed = authorize_session(*who, hello.host()); !allowed)
    return refuse(session, allowed.error());

  auto& slot = hosts_[hello.host()];
  if (!slot) slot = std::make_unique<Host>();
  auto& host = *slot;
  host.name = hello.host();
  // Who knows nothing of this store is sent everything, whatever that is now.
  SetDigest should;
  if (hello.position().incarnation() == engine_.position().incarnation())
    should = digest_of(compiler_.list(engine_.head(), host.name));
  const auto verdict = judge_hello(hello, engine_.position(), should.text());
  if (host.session && host.session != &session) {
    // The host came back before its old stream was found dead.
    auto& old = *host.session;
    host.session = nullptr;
    old.host = nullptr;
    old.channel->close();
    sessions_.erase(old.id.value);
    full_over(host);
    host.view.connected = false;
    host.forget_flight();
  }
  if (verdict == HelloVerdict::kServerIsStale || verdict == HelloVerdict::kStoreIsBehind)
    return refuse_ahead(session, host, hello.position());
  host.should = should;
  host.session = &session;
  session.host = &host;
  host.forget_flight();
  host.view.connected = true;
  host.view.since = runtime_.wall();
  host.view.hello = hello;
  host.view.ahead.clear();
  host.audited = runtime_.now();

  switch (verdict) {
    case HelloVerdict::kServerIsStale:
    case HelloVerdict::kStoreIsBehind:
      break;  // refused above
    case HelloVerdict::kFull:
      want_full(host, false);
      break;
    case HelloVerdict::kNewIncarnation:
      want_full(host, true);
      break;
    case HelloVerdict::kPositionOnly: {
      v1::ServerMessage message;
      *message.mutable_position() = engine_.position();
      message.mutable_delta()->set_previous_revision(hello.position().revision());
      host.last_sent = engine_.head().revision();
      host.view.applied_revision = hello.position().revision();
      host.in_flight.push_back(host.last_sent);
      session.channel->send(std::move(message));
      break;
    }
  }
  journal_.event(v1::Event::NORMAL, "HostConnected", host_key(host.name),
                 verdict == HelloVerdict::kPositionOnly ? "it holds what it should"
                                                        : "its whole intent is sent",
                 "host:" + host.name, engine_.head().revision());
  if (on_progress) on_progress(host.name, nullptr);
}

// Whole intents are large, and after a start of the server every host may need one: few at a time
// are made and held until their stream has taken them.
void HostSessions::want_full(Host& host, bool new_incarnation) {
  host.forget_flight();
  host.view.applied_revision = 0;
  host.new_incarnation = new_incarnation;
  if (host.full != Host::Full::kNone) return;
  host.full = Host::Full::kWanted;
  want_full_.push_back(host.name);
  next_full();
}

void HostSessions::next_full() {
  while (!want_full_.empty() && sending_full_ < runtime_.tunables().sessions_syncing_max) {
    const auto found = hosts_.find(want_full_.front());
    want_full_.pop_front();
    if (found == hosts_.end() || found->second->full != Host::Full::kWanted) continue;
    send_full(*found->second);
  }
}

void HostSessions::send_full(Host& host) {
  const auto items = compiler_.list(engine_.head(), host.name);
  host.should = digest_of(items);
  host.full = Host::Full::kSending;
  ++sending_full_;
  host.last_sent = engine_.head().revision();
  host.in_flight.push_back(host.last_sent);
  host.session->channel->send_serialized(
      serialize_full(engine_.position(), items, host.new_incarnation),
      [this, name = host.name, id = host.session->id] {
        const auto found = hosts_.find(name);
        if (found == hosts_.end() || !found->second->session || found->second->session->id != id)
          return;
        full_over(*found->second);
      });
}

void HostSessions::full_over(Host& host) {
  if (std::exchange(host.full, Host::Full::kNone) != Host::Full::kSending) return;
  --sending_full_;
  next_full();
}

// --- changes

void HostSessions::published(const Publication& publication) {
  if (std::exchange(batch_over_, false)) touched_.clear();
  const auto revision = publication.after.revision();
  auto& touched = touched_[revision];
  for (auto& [name, change] :
       compiler_.changes(publication.before, publication.after, publication.edits)) {
    auto& items = touched[name];
    for (const auto& [key, bytes] : change.put) items.push_back(key);
    for (const auto& key : change.remove) items.push_back(key);
    const auto found = hosts_.find(name);
    if (found == hosts_.end() || !found->second->session) continue;
    auto& host = *found->second;
    if (host.full == Host::Full::kWanted) continue;  // it will be sent what is then
    host.should.add(change.difference);
    for (const auto& key : items) note(host, key, revision);
    host.gathering.then(change);
    host.gathering_revision = revision;
  }
  for (const auto& edit : publication.edits) {
    if (!edit.is_erase() || edit.key.kind != &kind_of<v1::Host>()) continue;
    const auto found = hosts_.find(edit.key.name);
    if (found == hosts_.end()) continue;
    if (auto* session = found->second->session)
      refuse(*session, {Code::kNotFound, edit.key.describe() + " was deleted", {}, ""});
    hosts_.erase(edit.key.name);
  }
}

void HostSessions::settled() {
  batch_over_ = true;
  const auto wait = std::chrono::microseconds(runtime_.tunables().session_coalesce_us);
  std::vector<Host*> due;
  for (const auto& [revision, touched] : touched_)
    for (const auto& [name, items] : touched)
      if (const auto found = hosts_.find(name); found != hosts_.end())
        due.push_back(found->second.get());
  for (auto* host : due) {
    if (wait.count() == 0) {
      flush(*host);
    } else if (!host->flush_planned) {
      host->flush_planned = true;
      runtime_.after(wait, [this, name = host->name] {
        const auto found = hosts_.find(name);
        if (found == hosts_.end()) return;
        found->second->flush_planned = false;
        flush(*found->second);
      });
    }
  }
}

void HostSessions::note(Host& host, const std::string& key, std::int64_t revision) {
  host.unacked[key] = revision;
  host.trail.emplace_back(revision, key);
}

void HostSessions::flush(Host& host) {
  const auto window = static_cast<std::size_t>(runtime_.tunables().session_in_flight_max);
  if (!host.session || host.gathering.empty() || host.in_flight.size() >= window) return;
  v1::ServerMessage message;
  *message.mutable_position() = engine_.position();
  message.mutable_position()->set_revision(host.gathering_revision);
  auto& delta = *message.mutable_delta();
  delta.set_previous_revision(host.last_sent);
  for (const auto& [key, item] : host.gathering.put) *delta.add_put() = parse_item(*item);
  for (const auto& key : host.gathering.remove) delta.add_remove(key);
  host.gathering = {};
  host.last_sent = host.gathering_revision;
  host.in_flight.push_back(host.last_sent);
  host.session->channel->send(std::move(message));
}

const std::map<std::string, std::vector<std::string>>* HostSessions::touched(
    std::int64_t revision) const {
  const auto found = touched_.find(revision);
  return found == touched_.end() ? nullptr : &found->second;
}

// --- acknowledgements

void HostSessions::ack(Session& session, const v1::Ack& ack) {
  if (!session.host)
    return refuse(session, {Code::kInvalidArgument, "an ack before the hello", {}, ""});
  auto& host = *session.host;
  if (host.full == Host::Full::kWanted) return;  // about what it held before
  // FULL resets what was acknowledged; before the first ack of a session anything up to last_sent
  // counts.
  const auto last_acked = host.view.in_step ? host.view.applied_revision : 0;
  switch (judge_ack(ack.position(), engine_.position(), host.last_sent, last_acked)) {
    case AckVerdict::kStale:
      return;
    case AckVerdict::kForeign:
      return refuse(session,
                    {Code::kConflict,
                     fmt::format("host {} acknowledges what was never sent to it", host.name),
                     {},
                     ""});
    case AckVerdict::kTake:
      break;
  }
  const auto revision = ack.position().revision();
  // The session's first message decides; what came before it (an ack on the way while FULL was
  // sent) says nothing.
  if (!host.in_flight.empty() && !host.view.in_step && revision < host.in_flight.front()) return;
  std::vector<std::string> items;
  const bool begins = !std::exchange(host.view.in_step, true);
  host.view.applied_revision = revision;
  host.view.digest = ack.digest();
  host.view.apply_us = ack.apply_us();
  while (!host.in_flight.empty() && host.in_flight.front() <= revision) host.in_flight.pop_front();
  while (!host.trail.empty() && host.trail.front().first <= revision) {
    auto& [noted, key] = host.trail.front();
    if (const auto found = host.unacked.find(key);
        found != host.unacked.end() && found->second == noted) {
      host.unacked.erase(found);
      items.push_back(std::move(key));
    }
    host.trail.pop_front();
  }
  std::map<std::string, v1::NotReady, std::less<>> not_ready;
  for (const auto& item : ack.not_ready()) {
    const auto known = host.view.not_ready.find(item.key());
    if (known == host.view.not_ready.end() || known->second.message() != item.message()) {
      items.push_back(item.key());
      // An instance that is being started, and what waits for its devices, is on its way.
      const bool on_its_way = item.reason() == "InProgress" ||
                              (item.reason() == "Waiting" && item.key().starts_with("60/port/"));
      const auto type = on_its_way ? v1::Event::NORMAL : v1::Event::WARNING;
      journal_.event(type, item.reason(), host_key(host.name),
                     fmt::format("{}: {}", item.key(), item.message()), "host:" + host.name,
                     revision);
    }
    not_ready[item.key()] = item;
  }
  for (const auto& [key, item] : host.view.not_ready)
    if (!not_ready.contains(key)) items.push_back(key);
  host.view.not_ready = std::move(not_ready);
  flush(host);
  if (on_progress) on_progress(host.name, begins ? nullptr : &items);
}

void HostSessions::heartbeat(View& view, const v1::Heartbeat& heartbeat) const {
  const auto now = runtime_.now();
  const auto seconds = std::chrono::duration<double>(now - view.heartbeat).count();
  view.drops_per_s.clear();
  if (view.heartbeat != MonoTime{} && seconds > 0)
    for (const auto& [reason, packets] : heartbeat.drops()) {
      const auto before = view.drops.find(reason);
      const auto more = packets - (before == view.drops.end() ? 0 : before->second);
      if (more > 0) view.drops_per_s[reason] = static_cast<double>(more) / seconds;
    }
  view.heartbeat = now;
  view.drops = {heartbeat.drops().begin(), heartbeat.drops().end()};
  view.flows = heartbeat.flows();
}

// --- what rules log

void HostSessions::flow_log(Session& session, const v1::FlowLog& log) {
  if (!session.host) return;
  const auto& host = session.host->name;
  journal_.flows(engine_.head(), host, log);
  if (log.lost() > 0)
    journal_.event(v1::Event::WARNING, "FlowRecordsLost", host_key(host),
                   fmt::format("{} records of logged flows did not fit the host's queue "
                               "(tunable flow_log_queue_max)",
                               log.lost()),
                   "host:" + host, engine_.head().revision());
}

// Now and then the host's digest is held against what it should hold; a difference (a defect on
// either side) is healed by sending everything.
void HostSessions::audit(Host& host) {
  const auto every = std::chrono::milliseconds(runtime_.tunables().reconcile_audit_ms);
  if (runtime_.now() - host.audited < every) return;
  host.audited = runtime_.now();
  const bool quiet = host.view.in_step && host.in_flight.empty() && host.gathering.empty() &&
                     host.full == Host::Full::kNone &&
                     host.view.applied_revision == host.last_sent && !host.view.digest.empty();
  if (!quiet || host.should.text() == host.view.digest) return;
  journal_.event(v1::Event::WARNING, "DigestDiffers", host_key(host.name),
                 "the host holds something else than it should; its whole intent is sent again",
                 "controller", engine_.head().revision());
  want_full(host, false);
}

// What a host should hold is kept up to date by changes alone. Compiling everything anew costs too
// much to do it for all hosts at every audit: one host after the other, one a heartbeat.
void HostSessions::audit_own_account() {
  const auto every = std::chrono::milliseconds(runtime_.tunables().session_heartbeat_ms);
  if (runtime_.now() - accounted_at_ < every) return;
  accounted_at_ = runtime_.now();
  auto next = hosts_.upper_bound(accounted_);
  if (next == hosts_.end()) next = hosts_.begin();
  accounted_ = next->first;
  auto& host = *next->second;
  if (!host.session || host.full != Host::Full::kNone) return;
  if (digest_of(compiler_.list(engine_.head(), host.name)) == host.should) return;
  log_.error("defect: changes have not added up to what host {} should hold; all is sent again",
             host.name);
  want_full(host, false);
}

bool HostSessions::in_step(std::string_view name) const {
  const auto found = hosts_.find(name);
  if (found == hosts_.end() || !found->second->session) return false;
  const auto& host = *found->second;
  return host.view.in_step && host.in_flight.empty() && host.gathering.empty();
}

// --- orders beside the intent

bool HostSessions::order(std::string_view name, v1::ServerMessage message) {
  const auto found = hosts_.find(name);
  if (found == hosts_.end() || !found->second->session) return false;
  auto& host = *found->second;
  *message.mutable_position() = engine_.position();
  message.mutable_position()->set_revision(host.last_sent);
  host.session->channel->send(std::move(message));
  return true;
}

bool HostSessions::order(std::string_view host, const v1::TraceOrder& order) {
  v1::ServerMessage message;
  *message.mutable_trace() = order;
  return this->order(host, std::move(message));
}

bool HostSessions::order(std::string_view host, const v1::CountersOrder& order) {
  v1::ServerMessage message;
  *message.mutable_counters() = order;
  return this->order(host, std::move(message));
}

bool HostSessions::order(std::string_view host, const v1::MoveOrder& order) {
  v1::ServerMessage message;
  *message.mutable_move() = order;
  return this->order(host, std::move(message));
}

bool HostSessions::order(std::string_view host, const v1::FlowBatch& batch) {
  v1::ServerMessage message;
  *message.mutable_flows() = batch;
  return this->order(host, std::move(message));
}

// --- status

const HostSessions::View* HostSessions::view(std::string_view host) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? nullptr : &found->second->view;
}

ItemState HostSessions::state(std::string_view name, std::string_view item) const {
  const auto found = hosts_.find(name);
  if (found == hosts_.end() || !found->second->session) return ItemState::kUnreachable;
  const auto& host = *found->second;
  if (!host.view.in_step || host.unacked.contains(item)) return ItemState::kPending;
  return host.view.not_ready.contains(item) ? ItemState::kFailed : ItemState::kApplied;
}

std::int64_t HostSessions::needs_revision(std::string_view name,
                                          std::span<const std::string> items) const {
  const auto found = hosts_.find(name);
  if (found == hosts_.end() || !found->second->session) return 0;
  const auto& host = *found->second;
  std::int64_t needs = host.view.in_step || host.in_flight.empty() ? 0 : host.in_flight.front();
  for (const auto& item : items)
    if (const auto noted = host.unacked.find(item); noted != host.unacked.end())
      needs = std::max(needs, noted->second);
  return needs;
}

}  // namespace penstock

#include "server/watches.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "server/handlers/catalog.h"

namespace penstock {

struct Watches::Watch {
  std::uint64_t id = 0;
  std::string secret;
  Identity who;
  const Kind* kind = nullptr;
  std::string tenant;
  v1::LabelSelector selector;
  Sink sink;
  Ended ended;
  bool broken = false;  // dropped at the end of the turn: never while the map is walked
  std::optional<CatalogWatch> catalog;
  bool identity_changed = false;
  MonoTime look_again{};  // whether the token is still good

  bool concerns(const ObjectKey& key) const {
    return key.kind == kind && (tenant.empty() || !kind->tenant_scoped || key.tenant == tenant);
  }
  bool selects(const Message* object) const {
    return object && matches(selector, metadata_of(*object).labels());
  }
};

Watches::Watches(Runtime& runtime, Engine& engine, const StatusBook& status, Journal& journal)
    : runtime_(runtime), engine_(engine), status_(status), journal_(journal) {
  journal_.on_added([this](const MessagePtr& entry) {
    const Past past{engine_.head().revision(), key_of(*entry), nullptr, entry};
    for (auto& [id, watch] : watches_) tell(*watch, past);
  });
}

Watches::~Watches() {
  journal_.on_added(nullptr);
}

Result<std::uint64_t> Watches::watch(std::string secret, const v1::WatchRequest& request, Sink sink,
                                     Ended ended) {
  auto watch = std::make_unique<Watch>();
  watch->who = PENSTOCK_TRY(identify(engine_.head(), secret, runtime_.wall()));
  watch->secret = std::move(secret);
  const auto most = runtime_.tunables().watches_per_user;
  if (std::ranges::count_if(watches_, [&](const auto& entry) {
        return entry.second->who.name == watch->who.name;
      }) >= most)
    return fail(Code::kResourceExhausted,
                fmt::format("user {} has {} watches already", watch->who.name, most),
                "end some (tunable watches_per_user)");
  if (request.revision() < 0)
    return fail_field("revision", "a revision is not negative", "0: from the beginning");
  if (request.kind().empty())
    return fail_field("kind", "a kind is needed", "for example \"VirtualMachine\"");
  watch->kind = PENSTOCK_TRY(find_kind(request.kind()));
  watch->tenant = request.tenant();
  if (watch->kind == &kind_of<v1::CatalogEntry>()) {
    PENSTOCK_CHECK(authorize_catalog(engine_.head(), watch->who, watch->tenant));
    watch->catalog.emplace(watch->tenant);
  } else if (!watch->tenant.empty()) {
    PENSTOCK_CHECK(authorize_tenant(watch->who, watch->tenant));
  }
  watch->selector = PENSTOCK_TRY(parse_selector(request.label_selector()));
  watch->sink = std::move(sink);
  watch->ended = std::move(ended);
  watch->id = next_++;
  auto& it = *watch;
  const auto& head = engine_.head();
  if (history_from_ == 0) history_from_ = head.revision();

  const bool compacted = request.revision() > 0 && !journal_.of(*it.kind) &&
                         (request.revision() < history_from_ ||
                          // Of a later state that a restored store does not have.
                          request.revision() > head.revision() ||
                          (it.catalog && catalogs_changed_since(request.revision())));
  if (compacted) {
    v1::WatchEvent event;
    event.set_type(v1::WatchEvent::COMPACTED);
    event.set_revision(it.catalog ? head.revision() : history_from_);
    it.sink(event);
    it.ended({Code::kFailedPrecondition,
              fmt::format("changes after revision {} are not kept any more", request.revision()),
              {},
              "list again, then watch from the list's revision"});
    return it.id;
  }
  if (it.catalog) {
    begin_catalog(it, request.revision());
  } else if (const auto* recent = journal_.of(*it.kind)) {
    if (request.revision() == 0)
      recent->each([&](const MessagePtr& entry) {
        tell(it, {head.revision(), key_of(*entry), nullptr, entry});
        return !it.broken;
      });
  } else if (request.revision() == 0) {
    head.each(*it.kind, [&](const ObjectKey& key, const MessagePtr& object, std::int64_t revision) {
      if (it.concerns(key) && it.selects(object.get()) && may_read(head, it.who, key, object.get()))
        send(it, v1::WatchEvent::ADDED, key, *object, revision);
      return !it.broken;
    });
  } else {
    for (const auto& past : history_)
      if (past.revision > request.revision()) tell(it, past);
  }
  bookmark(it, head.revision());
  const auto id = it.id;
  watches_.emplace(id, std::move(watch));
  if (it.broken) settled();
  return id;
}

void Watches::cancel(std::uint64_t id) {
  watches_.erase(id);
}

ReadContext Watches::context_of(const Watch& watch) const {
  return {engine_.head(), watch.who, status_, journal_, runtime_.tunables(), runtime_.wall()};
}

// A token that expires is no change of an object: nobody tells, so it is looked at now and then.
bool Watches::still_good(Watch& watch) {
  if (watch.broken) return false;
  if (runtime_.now() < watch.look_again) return true;
  watch.look_again =
      runtime_.now() + std::chrono::milliseconds(runtime_.tunables().watch_recheck_ms);
  watch.broken = !identify(engine_.head(), watch.secret, runtime_.wall());
  return !watch.broken;
}

bool Watches::send(Watch& watch, v1::WatchEvent::Type type, const ObjectKey& key,
                   const Message& object, std::int64_t revision) {
  if (!still_good(watch)) return false;
  const auto context = context_of(watch);
  v1::WatchEvent event;
  event.set_type(type);
  event.set_revision(revision);
  if (type == v1::WatchEvent::DELETED)
    *event.mutable_object() = wrap(object);
  else
    *event.mutable_object() = shown(context, key, object);
  if (type == v1::WatchEvent::DELETED)
    redact(watch.who, const_cast<Message&>(*unwrap(event.object())));
  if (!watch.sink(event)) watch.broken = true;
  return !watch.broken;
}

void Watches::bookmark(Watch& watch, std::int64_t revision) {
  if (watch.broken) return;
  v1::WatchEvent event;
  event.set_type(v1::WatchEvent::BOOKMARK);
  event.set_revision(revision);
  if (!watch.sink(event)) watch.broken = true;
}

void Watches::tell(Watch& watch, const Past& past) {
  if (!watch.concerns(past.key)) return;
  const auto& head = engine_.head();
  const bool was =
      watch.selects(past.before.get()) && may_read(head, watch.who, past.key, past.before.get());
  const bool is =
      watch.selects(past.after.get()) && may_read(head, watch.who, past.key, past.after.get());
  if (is)
    send(watch, was ? v1::WatchEvent::MODIFIED : v1::WatchEvent::ADDED, past.key, *past.after,
         past.revision);
  else if (was)
    send(watch, v1::WatchEvent::DELETED, past.key, *past.before, past.revision);
}

void Watches::published(const Publication& publication) {
  const auto revision = publication.after.revision();
  if (history_from_ == 0) history_from_ = publication.before.revision();
  for (const auto& edit : publication.edits) {
    if (!edit.key.kind) continue;
    const auto* kind = edit.key.kind;
    identities_changed_ = identities_changed_ || kind == &kind_of<v1::User>() ||
                          kind == &kind_of<v1::Group>() || kind == &kind_of<v1::Token>();
    catalog_changes_.note(publication.before, publication.after, edit.key);
    history_.push_back(
        {revision, edit.key, publication.before.find(edit.key), publication.after.find(edit.key)});
    for (auto& [id, watch] : watches_) tell(*watch, history_.back());
  }
  const auto most = static_cast<std::size_t>(runtime_.tunables().watch_history_max);
  while (history_.size() > most) {
    history_from_ = history_.front().revision;
    history_.pop_front();
  }
}

void Watches::settled() {
  if (std::exchange(identities_changed_, false)) {
    for (auto& [id, watch] : watches_) {
      auto who = identify(engine_.head(), watch->secret, runtime_.wall());
      if (!who) {
        watch->broken = true;
        continue;
      }
      watch->identity_changed = !(watch->who == *who);
      watch->who = std::move(*who);
    }
  }
  catalogs_settled();
  std::vector<std::uint64_t> broken;
  for (const auto& [id, watch] : watches_)
    if (watch->broken) broken.push_back(id);
  for (const auto id : broken) {
    const auto watch = std::move(watches_.at(id));
    watches_.erase(id);
    watch->ended({Code::kResourceExhausted,
                  "the watch ended: its reader is too slow or may not read any more",
                  {},
                  "list again, then watch from the list's revision"});
  }
}

// --- catalogs

// Entries have no history of their own. Whether one could be different is known, and then the
// reader must list again: it cannot be told which of them it had.
bool Watches::catalogs_changed_since(std::int64_t revision) const {
  for (auto past = history_.rbegin(); past != history_.rend() && past->revision > revision; ++past)
    if (CatalogChanges::concerned(*past->key.kind)) return true;
  return false;
}

void Watches::tell_catalog(Watch& watch, v1::WatchEvent::Type type, const v1::CatalogEntry& entry) {
  if (!still_good(watch)) return;
  v1::WatchEvent event;
  event.set_type(type);
  event.set_revision(engine_.head().revision());
  *event.mutable_object() = wrap(entry);
  if (!watch.sink(event)) watch.broken = true;
}

void Watches::begin_catalog(Watch& watch, std::int64_t revision) {
  if (revision > 0) return watch.catalog->take(context_of(watch), watch.selector);
  watch.catalog->look(context_of(watch), watch.selector,
                      [&](auto type, const auto& entry) { tell_catalog(watch, type, entry); });
}

void Watches::catalogs_settled() {
  const auto changes = std::exchange(catalog_changes_, {});
  for (auto& [id, watch] : watches_) {
    const bool all = std::exchange(watch->identity_changed, false);
    if (!watch->catalog || watch->broken || (changes.empty() && !all)) continue;
    bool told = false;
    const auto tell = [&](v1::WatchEvent::Type type, const v1::CatalogEntry& entry) {
      tell_catalog(*watch, type, entry);
      told = true;
    };
    if (all)
      watch->catalog->look(context_of(*watch), watch->selector, tell);
    else
      watch->catalog->look(context_of(*watch), watch->selector, changes, tell);
    if (told) bookmark(*watch, engine_.head().revision());
  }
}

// --- status

bool Watches::watched(const Kind& kind) const {
  for (const auto& [id, watch] : watches_)
    if (watch->kind == &kind) return true;
  return false;
}

void Watches::progress(const std::string& host, const std::vector<std::string>* items) {
  if (watches_.empty()) return;
  dirty_.insert(ObjectKey::of<v1::Host>("", host));
  if (items)
    for (const auto& item : *items) objects_of_item(item, dirty_);
  else
    objects_of_host(host, dirty_);
  if (std::exchange(turn_planned_, true)) return;
  runtime_.after(std::chrono::milliseconds(runtime_.tunables().watch_status_ms),
                 [this] { status_turn(); });
}

void Watches::status_turn() {
  turn_planned_ = false;
  const auto& head = engine_.head();
  for (const auto dirty = std::exchange(dirty_, {}); const auto& key : dirty) {
    const auto object = head.find(key);
    if (!object) continue;
    for (auto& [id, watch] : watches_)
      if (watch->concerns(key) && watch->selects(object.get()) &&
          may_read(head, watch->who, key, object.get()))
        send(*watch, v1::WatchEvent::MODIFIED, key, *object, head.mod_revision(key));
  }
  settled();
}

void Watches::objects_of_host(const std::string& host, std::set<ObjectKey>& found) const {
  const auto& head = engine_.head();
  objects_of_item("40/policy/", found);
  for (const auto& key : head.vms_of_host(host)) {
    const auto vm = head.find<v1::VirtualMachine>(key.tenant, key.name);
    found.insert(key);
    for (const auto& nic : vm->spec().nics()) {
      found.insert(ObjectKey::of<v1::VirtualNetwork>(key.tenant, nic.network()));
      objects_of_item(fmt::format("60/port/{}", nic.port_id()), found);
    }
  }
}

// Item keys are those of host.proto.
void Watches::objects_of_item(const std::string& item, std::set<ObjectKey>& found) const {
  const auto& head = engine_.head();
  auto number_after = [&](std::string_view prefix) -> std::uint32_t {
    std::uint32_t number = 0;
    std::from_chars(item.data() + prefix.size(), item.data() + item.size(), number);
    return number;
  };
  if (item.starts_with("20/net/")) {
    const auto network = head.network_of_vni(number_after("20/net/"));
    if (const auto slash = network ? network->find('/') : std::string::npos;
        slash != std::string::npos)
      found.insert(
          ObjectKey::of<v1::VirtualNetwork>(network->substr(0, slash), network->substr(slash + 1)));
  } else if (item.starts_with("40/policy/") || item.starts_with("30/group/")) {
    // Policies are many-to-one with profiles, and profiles are few.
    if (watched(kind_of<v1::ServiceProfile>()))
      head.each<v1::ServiceProfile>([&](const auto& profile) { found.insert(key_of(profile)); });
  } else if (item.starts_with("60/port/")) {
    const auto nic = head.nic_of_port(number_after("60/port/"));
    if (!nic) return;
    found.insert(ObjectKey::of<v1::VirtualMachine>(nic->tenant, nic->vm));
    if (!watched(kind_of<v1::Enablement>())) return;
    auto add = [&](const std::vector<std::string>& names) {
      for (const auto& name : names) found.insert(ObjectKey::of<v1::Enablement>(nic->tenant, name));
    };
    add(head.enablements_on_vm(nic->tenant, nic->vm));
    add(head.enablements_on_nic(nic->tenant, nic->vm, nic->nic));
    for (const auto& pool : head.pools_of_vm(nic->tenant, nic->vm))
      add(head.enablements_on_pool(nic->tenant, pool));
    const auto vm = head.find<v1::VirtualMachine>(nic->tenant, nic->vm);
    if (!vm) return;
    for (const auto& one : vm->spec().nics())
      if (one.name() == nic->nic) add(head.enablements_on_network(nic->tenant, one.network()));
  } else if (item.starts_with("50/vm/")) {
    const auto name = item.substr(6);
    if (const auto slash = name.find('/'); slash != std::string::npos)
      found.insert(
          ObjectKey::of<v1::VirtualMachine>(name.substr(0, slash), name.substr(slash + 1)));
  }
}

}  // namespace penstock

#include "server/http/gateway.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "model/json.h"
#include "server/failure.h"
#include "server/http/body.h"
#include "server/http/openapi.h"

namespace penstock {
namespace {

constexpr std::string_view kJsonType = "application/json";
constexpr std::string_view kMergePatchType = "application/merge-patch+json";
// Of every write.
constexpr std::string_view kWriteParameters[] = {"wait", "deadline", "dryRun", "requestId"};

Result<bool> parse_bool(std::string_view name, std::string_view text) {
  if (text == "true" || text == "1" || text.empty()) return true;
  if (text == "false" || text == "0") return false;
  return fail_field(std::string(name), fmt::format("\"{}\" is neither true nor false", text));
}

template <typename Number>
Result<Number> parse_number(std::string_view name, std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return fail_field(std::string(name), fmt::format("\"{}\" is not a number in range", text));
  return number;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto wrong = [&] {
    return fail_field("deadline", fmt::format("\"{}\" is not a duration", text),
                      "for example \"10s\" or \"500ms\"");
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number >= 0) || number > 1e9) return wrong();
  const auto unit = std::string_view(end, text.data() + text.size() - end);
  const double seconds = unit == "ms"  ? number / 1e3
                         : unit == "s" ? number
                         : unit == "m" ? number * 60
                         : unit == "h" ? number * 3600
                                       : -1;
  if (seconds < 0) return wrong();
  return Duration(static_cast<std::int64_t>(std::min(seconds, 3600.0) * 1e9));
}

// One request on its way through.
struct Gateway::Exchange {
  HttpRequest request;
  Url url;
  Caller from{""};
  std::shared_ptr<HttpResponder> responder;

  void answer(const Message& message, bool with_secrets = false) {
    responder->reply(200, kJsonType, encode_text(message, {.with_secrets = with_secrets}) + "\n");
  }
  void refuse(const Error& error) {
    responder->reply(http_status(error.code), kJsonType, error_body(error));
  }
  template <typename T>
  void answer(const Result<T>& result) {
    if (result)
      answer(*result, true);
    else
      refuse(result.error());
  }
  // 207 (RFC 4918 section 11.1): look at the items, one of them failed.
  void answer_batch(const Result<v1::BatchResponse>& answer) {
    if (!answer) return refuse(answer.error());
    const bool whole =
        std::ranges::none_of(answer->items(), [](const auto& item) { return item.has_error(); });
    responder->reply(whole ? 200 : 207, kJsonType,
                     encode_text(*answer, {.with_secrets = true}) + "\n");
  }
  template <typename T>
  static std::move_only_function<void(Result<T>)> to(std::shared_ptr<Exchange> self) {
    return [self = std::move(self)](Result<T> result) { self->answer(result); };
  }
  void wrong_method(std::string_view allowed) {
    responder->reply(405, kJsonType,
                     error_body({Code::kInvalidArgument,
                                 fmt::format("{} is not possible here", request.method),
                                 {},
                                 fmt::format("possible: {}", allowed)}));
  }

  std::string text(std::string_view name) const {
    return std::string(url.parameter(name).value_or(""));
  }

  // Refuses parameters that nobody would read: a misspelled "wait" must not pass for done.
  Status known(std::initializer_list<std::string_view> own, bool write) const {
    std::vector<std::string> names(own.begin(), own.end());
    if (write) names.insert(names.end(), std::begin(kWriteParameters), std::end(kWriteParameters));
    for (const auto& [name, value] : url.query)
      if (std::find(names.begin(), names.end(), name) == names.end())
        return fail_field(name, "unknown query parameter", did_you_mean(name, names));
    return {};
  }

  Status write_options(v1::WriteOptions& options) const {
    if (const auto wait = url.parameter("wait")) {
      if (*wait != "applied")
        return fail_field("wait", fmt::format("cannot wait for \"{}\"", *wait), "wait=applied");
      options.set_wait_applied(true);
    }
    if (const auto deadline = url.parameter("deadline")) {
      const auto duration = PENSTOCK_TRY(parse_duration(*deadline));
      options.mutable_deadline()->set_seconds(duration.count() / 1'000'000'000);
      options.mutable_deadline()->set_nanos(static_cast<int>(duration.count() % 1'000'000'000));
    }
    if (const auto dry = url.parameter("dryRun")) {
      if (*dry != "server")
        return fail_field("dryRun", fmt::format("\"{}\" is unknown", *dry), "dryRun=server");
      options.set_dry_run(true);
    }
    if (const auto id = url.parameter("requestId")) options.set_request_id(std::string(*id));
    return {};
  }

  // The body as a request message; options of the query on top.
  template <typename Request>
  Status decode_body(Request& message) const {
    return decode_tree(body_tree(request), message);
  }
  template <typename Request>
  Status decode_tree(Result<Json> tree, Request& message) const {
    if (!tree) return std::unexpected(std::move(tree).error());
    PENSTOCK_CHECK(decode(*tree, message));
    return write_options(*message.mutable_options());
  }
};

std::string Gateway::error_body(const Error& error) {
  return encode_text(failure_of(error)) + "\n";
}

void Gateway::handle(HttpRequest request, std::shared_ptr<HttpResponder> responder) {
  auto exchange = std::make_shared<Exchange>();
  exchange->from = Caller(std::string(bearer(request.authorization)), request.client);
  exchange->request = std::move(request);
  exchange->responder = std::move(responder);
  if (const auto user = api_.user_of(exchange->from);
      !user.empty() && !exchange->responder->belongs_to(user))
    return exchange->refuse(
        {Code::kResourceExhausted,
         fmt::format("user {} has {} connections open already", user,
                     runtime_.tunables().http_connections_per_user),
         {},
         "close some, or use one for several requests (tunable http_connections_per_user)"});
  auto url = Url::parse(exchange->request.target);
  if (!url) return exchange->refuse(url.error());
  exchange->url = std::move(*url);
  if (exchange->request.method == "HEAD") exchange->request.method = "GET";
  route(std::move(exchange));
}

void Gateway::route(ExchangePtr exchange) {
  const auto& segments = exchange->url.segments;
  if (special(exchange)) return;
  const auto nothing_here = [&] {
    exchange->refuse({Code::kNotFound,
                      fmt::format("there is nothing at {}", exchange->request.target),
                      {},
                      "GET /openapi.json says what there is"});
  };
  if (segments.empty() || segments[0] != "v1" || segments.size() < 2) return nothing_here();
  const bool in_tenant = segments[1] == "tenants" && segments.size() > 3;
  const std::string tenant = in_tenant ? segments[2] : "";
  const std::size_t at = in_tenant ? 3 : 1;
  const auto kind = find_kind(segments[at]);
  if (!kind) return exchange->refuse(kind.error());
  if (in_tenant && !(*kind)->tenant_scoped && *kind != &kind_of<v1::Event>() &&
      *kind != &kind_of<v1::AuditRecord>() && *kind != &kind_of<v1::CatalogEntry>())
    return exchange->refuse({Code::kNotFound,
                             fmt::format("{} do not belong to tenants", (*kind)->plural),
                             {},
                             fmt::format("/v1/{}", (*kind)->plural)});
  if (segments.size() == at + 1) return collection(std::move(exchange), **kind, tenant);
  if (segments.size() == at + 2) {
    auto name = segments[at + 1];
    return object(std::move(exchange), **kind, tenant, name);
  }
  // More than two: "tenants/acme" itself is an object with nothing below it but collections.
  nothing_here();
}

// What is not "objects of a kind". True: answered, or will be.
bool Gateway::special(const ExchangePtr& exchange) {
  const auto& segments = exchange->url.segments;
  const auto& method = exchange->request.method;
  auto need = [&](std::string_view expected) {
    if (method == expected) return true;
    exchange->wrong_method(expected);
    return false;
  };
  auto good = [&](const Status& status) {
    if (!status) exchange->refuse(status.error());
    return status.has_value();
  };
  auto is = [&](std::initializer_list<std::string_view> path) {
    return segments.size() == path.size() && std::equal(path.begin(), path.end(), segments.begin());
  };
  if (is({"healthz"})) {
    exchange->responder->reply(200, "text/plain", "ok\n");
    return true;
  }
  if (is({"openapi.json"})) {
    if (openapi_.empty()) openapi_ = openapi_document();
    exchange->responder->reply(200, kJsonType, openapi_);
    return true;
  }
  if (is({"v1:batch"})) {
    v1::BatchRequest request;
    if (need("POST") && good(exchange->known({}, true)) &&
        good(exchange->decode_tree(
            batch_tree(exchange->request, runtime_.tunables().store_txn_max_ops), request)))
      api_.batch(exchange->from, std::move(request),
                 [exchange](Result<v1::BatchResponse> answer) { exchange->answer_batch(answer); });
    return true;
  }
  if (is({"v1:explain"})) {
    v1::ExplainRequest request;
    request.set_kind(exchange->text("kind"));
    request.set_tenant(exchange->text("tenant"));
    request.set_name(exchange->text("name"));
    if (need("GET") && good(exchange->known({"kind", "tenant", "name"}, false)))
      api_.explain(exchange->from, request, Exchange::to<v1::ExplainResponse>(exchange));
    return true;
  }
  if (is({"v1:counters"})) {
    v1::CountersRequest request;
    request.set_kind(exchange->text("kind"));
    request.set_tenant(exchange->text("tenant"));
    request.set_name(exchange->text("name"));
    if (need("GET") && good(exchange->known({"kind", "tenant", "name"}, false)))
      api_.counters(exchange->from, request, Exchange::to<v1::CountersResponse>(exchange));
    return true;
  }
  if (is({"v1:status"})) {
    if (need("GET") && good(exchange->known({}, false)))
      api_.status(exchange->from, {}, Exchange::to<v1::StatusResponse>(exchange));
    return true;
  }
  if (is({"metrics"})) {
    if (!need("GET")) return true;
    if (const auto text = api_.metrics(exchange->from))
      exchange->responder->reply(200, kMetricsType, *text);
    else
      exchange->refuse(text.error());
    return true;
  }
  if (is({"v1:check"})) {
    v1::CheckRequest request;
    for (const auto& [name, value] : exchange->url.query)
      if (name == "names") request.add_names(value);
    if (need("GET") && good(exchange->known({"names"}, false)))
      api_.check(exchange->from, request, Exchange::to<v1::CheckResponse>(exchange));
    return true;
  }
  if (is({"v1:whoami"})) {
    if (need("GET") && good(exchange->known({}, false)))
      api_.who_am_i(exchange->from, {}, Exchange::to<v1::WhoAmIResponse>(exchange));
    return true;
  }
  if (segments.size() == 4 && segments[0] == "v1" && segments[1] == "tenants" &&
      segments[3] == "catalog") {
    if (const auto flag = exchange->url.parameter("watch"); flag && method == "GET") {
      const auto on = parse_bool("watch", *flag);
      if (!good(on ? exchange->known({"watch", "labelSelector", "resourceVersion"}, false)
                   : Status(std::unexpected(on.error()))))
        return true;
      if (*on) {
        watch(exchange, kind_of<v1::CatalogEntry>(), segments[2]);
        return true;
      }
    }
    v1::ListCatalogRequest request;
    request.set_tenant(segments[2]);
    request.set_vm(exchange->text("vm"));
    request.set_query(exchange->text("query"));
    request.set_category(exchange->text("category"));
    request.set_continue_(exchange->text("continue"));
    if (const auto limit = exchange->url.parameter("limit")) {
      const auto number = parse_number<std::int32_t>("limit", *limit);
      if (!good(number ? Status() : Status(std::unexpected(number.error())))) return true;
      request.set_limit(*number);
    }
    if (need("GET") &&
        good(exchange->known({"vm", "query", "category", "limit", "continue", "watch"}, false)))
      api_.list_entries(exchange->from, request, Exchange::to<v1::ListCatalogResponse>(exchange));
    return true;
  }
  // "/v1/tenants/T/enablements/NAME:decide"
  if (segments.size() == 5 && segments[0] == "v1" && segments[1] == "tenants" &&
      segments[3] == "enablements" && segments[4].ends_with(":decide")) {
    const auto name =
        segments[4].substr(0, segments[4].size() - std::string_view(":decide").size());
    v1::DecideRequest request;
    if (!need("POST") || !good(exchange->known({}, true)) || !good(exchange->decode_body(request)))
      return true;
    const auto differs = [](const std::string& given, const std::string& url) {
      return !given.empty() && given != url;
    };
    if (differs(request.tenant(), segments[2]) || differs(request.name(), name)) {
      exchange->refuse(fail_field(request.name() == name ? "tenant" : "name",
                                  fmt::format("the URL says \"{}/{}\"", segments[2], name))
                           .error());
      return true;
    }
    request.set_tenant(segments[2]);
    request.set_name(name);
    api_.decide(exchange->from, std::move(request), Exchange::to<v1::PutResponse>(exchange));
    return true;
  }
  if (segments.size() == 5 && segments[0] == "v1" && segments[1] == "tenants" &&
      segments[3] == "vms" && segments[4].ends_with(":move")) {
    const auto vm = segments[4].substr(0, segments[4].size() - std::string_view(":move").size());
    v1::MoveRequest request;
    if (!need("POST") || !good(exchange->known({}, true)) || !good(exchange->decode_body(request)))
      return true;
    const auto said = [&](const std::string& given, const std::string& url, const char* field) {
      if (given.empty() || given == url) return true;
      exchange->refuse(fail_field(field, fmt::format("the URL says \"{}\"", url)).error());
      return false;
    };
    if (!said(request.tenant(), segments[2], "tenant") || !said(request.name(), vm, "name"))
      return true;
    request.set_tenant(segments[2]);
    request.set_name(vm);
    api_.move(exchange->from, std::move(request), Exchange::to<v1::MoveResponse>(exchange));
    return true;
  }
  // "NAME:verb"
  if (segments.size() != 3 || segments[0] != "v1") return false;
  const auto colon = segments[2].rfind(':');
  if (colon == std::string::npos) return false;
  const auto name = segments[2].substr(0, colon), verb = segments[2].substr(colon + 1);
  auto named = [&](std::string_view expected, const std::string& given, std::string_view field) {
    if (given.empty() || given == expected) return true;
    exchange->refuse(
        fail_field(std::string(field), fmt::format("the URL says \"{}\"", expected)).error());
    return false;
  };
  if (segments[1] == "tenants" && verb == "enable") {
    v1::EnableRequest request;
    if (need("POST") && good(exchange->known({}, true)) && good(exchange->decode_body(request)) &&
        named(name, request.tenant(), "tenant")) {
      request.set_tenant(name);
      api_.enable(exchange->from, std::move(request), Exchange::to<v1::EnableResponse>(exchange));
    }
    return true;
  }
  if (segments[1] == "tenants" && verb == "trace") {
    v1::TraceRequest request;
    if (!need("POST") || !good(exchange->known({"requestId"}, false))) return true;
    const auto tree = body_tree(exchange->request);
    if (!tree) {
      exchange->refuse(tree.error());
    } else if (good(decode(*tree, request)) && named(name, request.tenant(), "tenant")) {
      request.set_tenant(name);
      api_.trace(exchange->from, request, Exchange::to<v1::Trace>(exchange));
    }
    return true;
  }
  if (segments[1] == "tenants" && verb == "disable") {
    v1::DisableRequest request;
    if (need("POST") && good(exchange->known({}, true)) && good(exchange->decode_body(request)) &&
        named(name, request.tenant(), "tenant")) {
      request.set_tenant(name);
      api_.disable(exchange->from, std::move(request), Exchange::to<v1::DisableResponse>(exchange));
    }
    return true;
  }
  if (segments[1] == "definitions" && verb == "add") {
    v1::AddToDraftRequest request;
    if (!need("POST") || !good(exchange->known({}, true))) return true;
    const auto tree = body_tree(exchange->request);
    if (!tree) {
      exchange->refuse(tree.error());
      return true;
    }
    // A part is incomplete by nature.
    if (good(decode(*tree, request, {.check_required = false})) &&
        good(exchange->write_options(*request.mutable_options())) &&
        named(name, request.name(), "name")) {
      request.set_name(name);
      api_.add_to_draft(exchange->from, std::move(request),
                        Exchange::to<v1::PutResponse>(exchange));
    }
    return true;
  }
  if (segments[1] == "definitions" && verb == "submit") {
    v1::SubmitDefinitionRequest request;
    if (need("POST") && good(exchange->known({}, true)) && good(exchange->decode_body(request)) &&
        named(name, request.name(), "name")) {
      request.set_name(name);
      api_.submit(exchange->from, std::move(request), Exchange::to<v1::PutResponse>(exchange));
    }
    return true;
  }
  return false;
}

// --- objects of a kind

void Gateway::collection(ExchangePtr exchange, const Kind& kind, const std::string& tenant) {
  if (exchange->request.method == "POST") return put(std::move(exchange), kind, tenant, "", true);
  if (exchange->request.method != "GET") return exchange->wrong_method("GET, POST");
  const auto known = exchange->known(
      {"labelSelector", "limit", "continue", "watch", "resourceVersion", "tenant"}, false);
  if (!known) return exchange->refuse(known.error());
  if (const auto flag = exchange->url.parameter("watch")) {
    const auto on = parse_bool("watch", *flag);
    if (!on) return exchange->refuse(on.error());
    if (*on) return watch(std::move(exchange), kind, tenant);
  }
  v1::ListRequest request;
  request.set_kind(kind.name);
  request.set_tenant(tenant.empty() ? exchange->text("tenant") : tenant);
  request.set_label_selector(exchange->text("labelSelector"));
  request.set_continue_(exchange->text("continue"));
  if (const auto limit = exchange->url.parameter("limit")) {
    const auto number = parse_number<std::int32_t>("limit", *limit);
    if (!number) return exchange->refuse(number.error());
    request.set_limit(*number);
  }
  api_.list(exchange->from, request, Exchange::to<v1::ListResponse>(exchange));
}

void Gateway::object(ExchangePtr exchange, const Kind& kind, const std::string& tenant,
                     const std::string& name) {
  const auto& method = exchange->request.method;
  if (method == "PUT") return put(std::move(exchange), kind, tenant, name, false);
  if (method == "PATCH") return patch(std::move(exchange), kind, tenant, name);
  if (method == "GET") {
    if (const auto known = exchange->known({}, false); !known)
      return exchange->refuse(known.error());
    v1::GetRequest request;
    request.set_kind(kind.name);
    request.set_tenant(tenant);
    request.set_name(name);
    return api_.get(exchange->from, request, Exchange::to<v1::Object>(exchange));
  }
  if (method != "DELETE") return exchange->wrong_method("GET, PUT, PATCH, DELETE");
  v1::DeleteRequest request;
  request.set_kind(kind.name);
  request.set_tenant(tenant);
  request.set_name(name);
  request.set_resource_version(exchange->text("resourceVersion"));
  auto status = exchange->known({"cascade", "resourceVersion"}, true);
  if (status) status = exchange->write_options(*request.mutable_options());
  if (const auto flag = exchange->url.parameter("cascade"); flag && status) {
    const auto cascade = parse_bool("cascade", *flag);
    if (!cascade) return exchange->refuse(cascade.error());
    request.set_cascade(*cascade);
  }
  if (!status) return exchange->refuse(status.error());
  api_.erase(exchange->from, std::move(request), Exchange::to<v1::DeleteResponse>(exchange));
}

namespace {

// What the URL says of the object; the body may say the same or nothing.
Status take_from_url(Json& tree, const char* field, const std::string& value) {
  if (value.empty() || !tree.is_object()) return {};
  if (!tree.contains("metadata")) tree["metadata"] = Json::object();
  auto& metadata = tree["metadata"];
  if (!metadata.is_object()) return {};  // the decoder says it better
  if (!metadata.contains(field) || metadata[field] == "") metadata[field] = value;
  if (metadata[field] != value)
    return fail_field(std::string("metadata.") + field, fmt::format("the URL says \"{}\"", value));
  return {};
}

}  // namespace

void Gateway::put(ExchangePtr exchange, const Kind& kind, const std::string& tenant,
                  const std::string& name, bool must_be_new) {
  v1::PutRequest request;
  auto status = exchange->known({"mustBeNew"}, true);
  if (status) status = exchange->write_options(*request.mutable_options());
  if (!status) return exchange->refuse(status.error());
  if (const auto flag = exchange->url.parameter("mustBeNew")) {
    const auto value = parse_bool("mustBeNew", *flag);
    if (!value) return exchange->refuse(value.error());
    must_be_new = must_be_new || *value;
  }
  auto tree = body_tree(exchange->request);
  if (!tree) return exchange->refuse(tree.error());
  status = take_from_url(*tree, "name", name);
  if (status) status = take_from_url(*tree, "tenant", kind.tenant_scoped ? tenant : "");
  if (!status) return exchange->refuse(status.error());
  const auto object = decode_object(*tree, &kind);
  if (!object) return exchange->refuse(object.error());
  *request.mutable_object() = wrap(**object);
  request.set_must_be_new(must_be_new);
  api_.put(exchange->from, std::move(request), Exchange::to<v1::PutResponse>(exchange));
}

void Gateway::patch(ExchangePtr exchange, const Kind& kind, const std::string& tenant,
                    const std::string& name) {
  // Other kinds of patches would mean something else by the same body.
  const auto type = media_type(exchange->request);
  if (type != kMergePatchType)
    return exchange->responder->reply(
        415, kJsonType,
        error_body({Code::kInvalidArgument,
                    fmt::format("a patch of type \"{}\" is not known", type),
                    {},
                    fmt::format("Content-Type: {} (RFC 7396)", kMergePatchType)}));
  v1::PatchRequest request;
  auto status = exchange->known({}, true);
  if (status) status = exchange->write_options(*request.mutable_options());
  if (!status) return exchange->refuse(status.error());
  request.set_kind(kind.name);
  request.set_tenant(tenant);
  request.set_name(name);
  request.set_patch(std::move(exchange->request.body));
  api_.patch(exchange->from, std::move(request), Exchange::to<v1::PutResponse>(exchange));
}

void Gateway::watch(ExchangePtr exchange, const Kind& kind, const std::string& tenant) {
  v1::WatchRequest request;
  request.set_kind(kind.name);
  request.set_tenant(tenant.empty() ? exchange->text("tenant") : tenant);
  request.set_label_selector(exchange->text("labelSelector"));
  if (const auto version = exchange->url.parameter("resourceVersion");
      version && !version->empty()) {
    const auto revision = parse_number<std::int64_t>("resourceVersion", *version);
    if (!revision) return exchange->refuse(revision.error());
    if (*revision < 0)
      return exchange->refuse(
          fail_field("resourceVersion", fmt::format("\"{}\" is no revision", *version),
                     "0: from the beginning; otherwise that of a list or an event")
              .error());
    request.set_revision(*revision);
  }
  // The first events come within the call, before it is known that there is a stream to write to.
  struct Stream {
    bool open = false;
    std::uint64_t id = 0;
    std::vector<std::string> early;
  };
  auto stream = std::make_shared<Stream>();
  auto responder = exchange->responder;
  const auto id = api_.watch(
      exchange->from, request,
      [stream, responder](const v1::WatchEvent& event) {
        auto line = encode_text(event) + "\n";
        if (stream->open) return responder->write(std::move(line));
        stream->early.push_back(std::move(line));
        return true;
      },
      [stream, responder](const Error& error) {
        if (stream->open) {
          responder->write(error_body(error));
          responder->end_stream();
        } else {
          stream->early.push_back("");  // marks the end
        }
      });
  if (!id) return exchange->refuse(id.error());
  const auto queue_max =
      static_cast<std::size_t>(runtime_.tunables().watch_queue_max) + stream->early.size();
  responder->start_stream("application/json; stream=watch", queue_max,
                          [this, id = *id] { api_.cancel_watch(id); });
  stream->open = true;
  for (auto& line : stream->early) {
    if (line.empty()) return responder->end_stream();
    responder->write(std::move(line));
  }
  stream->early.clear();
}

}  // namespace penstock

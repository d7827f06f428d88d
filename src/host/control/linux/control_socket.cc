#include "host/control/linux/control_socket.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "base/real_runtime.h"

namespace penstock::host {
namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;

namespace {

constexpr std::size_t kLongestRequest = 4096;
constexpr int kConnections = 16;

}  // namespace

struct ControlSocket::Impl : std::enable_shared_from_this<Impl> {
  Impl(RealRuntime& runtime, Log& l, Answer a)
      : acceptor(runtime.io()), log(l), answer(std::move(a)) {}

  struct Client {
    Client(Protocol::socket s, int& n) : socket(std::move(s)), open(n) { ++open; }
    ~Client() { --open; }
    Protocol::socket socket;
    std::string in, out;
    int& open;
  };

  void accept() {
    acceptor.async_accept(
        [self = shared_from_this()](boost::system::error_code error, Protocol::socket socket) {
          if (self->closed) return;
          if (!error && self->clients < kConnections)
            self->read(std::make_shared<Client>(std::move(socket), self->clients));
          self->accept();
        });
  }
  void read(std::shared_ptr<Client> client) {
    auto& c = *client;
    asio::async_read_until(
        c.socket, asio::dynamic_buffer(c.in, kLongestRequest), '\n',
        [self = shared_from_this(), client](boost::system::error_code error, std::size_t length) {
          if (error || self->closed) return;
          client->out = self->answer(std::string_view(client->in).substr(0, length - 1)) + '\n';
          client->in.erase(0, length);
          self->write(client);
        });
  }
  void write(std::shared_ptr<Client> client) {
    auto& c = *client;
    asio::async_write(
        c.socket, asio::buffer(c.out),
        [self = shared_from_this(), client](boost::system::error_code error, std::size_t) {
          if (!error && !self->closed) self->read(client);
        });
  }

  int clients = 0;
  Protocol::acceptor acceptor;
  Log& log;
  Answer answer;
  std::string path;
  bool closed = false;
};

ControlSocket::ControlSocket(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlSocket::~ControlSocket() {
  impl_->closed = true;
  boost::system::error_code ignored;
  impl_->acceptor.close(ignored);
  ::unlink(impl_->path.c_str());
}

Result<std::unique_ptr<ControlSocket>> ControlSocket::listen(RealRuntime& runtime, Log& log,
                                                             const std::string& path,
                                                             Answer answer) {
  auto impl = std::make_shared<Impl>(runtime, log, std::move(answer));
  impl->path = path;
  boost::system::error_code error;
  if (path.size() >= 107)
    return fail(Code::kInvalidArgument, path + " is too long for a unix socket");
  const Protocol::endpoint endpoint(path);
  Protocol::socket probe(runtime.io());
  probe.connect(endpoint, error);
  if (!error)
    return fail(Code::kAlreadyExists, "another agent answers at " + path,
                "stop it first, or use another --run");
  ::unlink(path.c_str());
  impl->acceptor.open(endpoint.protocol(), error);
  const auto mask = ::umask(0077);
  if (!error) impl->acceptor.bind(endpoint, error);
  ::umask(mask);
  if (!error) impl->acceptor.listen(kConnections, error);
  if (error) return fail(Code::kInternal, "listen on " + path + ": " + error.message());
  impl->accept();
  return std::unique_ptr<ControlSocket>(new ControlSocket(std::move(impl)));
}

}  // namespace penstock::host

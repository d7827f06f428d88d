#include "host/control/linux/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/real_runtime.h"

namespace penstock::host {
namespace {

// One request, one answer, from another thread, as a client would.
std::string ask(const std::string& path, const std::string& request) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  std::string out;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
    char buffer[256];
    ssize_t n;
    while (!out.ends_with('\n') && (n = ::read(fd, buffer, sizeof(buffer))) > 0)
      out.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return out;
}

struct ControlSocketTest : testing::Test {
  NullLog log;
  RealRuntime runtime{{}};
  std::string folder = "/tmp/penstock-control-XXXXXX", path;
  void SetUp() override {
    ASSERT_TRUE(::mkdtemp(folder.data()));
    path = folder + "/hostd.sock";
  }
  void TearDown() override {
    ::unlink(path.c_str());
    ::rmdir(folder.c_str());
  }
  auto listen() {
    return ControlSocket::listen(runtime, log, path, [](std::string_view request) {
      return "you said " + std::string(request);
    });
  }
};

TEST_F(ControlSocketTest, AnswersLineByLineAndHangsUpOnEndlessOnes) {
  auto socket = listen();
  ASSERT_TRUE(socket) << socket.error().text();
  std::string first, endless;
  std::thread client([&] {
    first = ask(path, "hello\n");
    endless = ask(path, std::string(100'000, 'x'));
    runtime.post_from_any_thread([&] { runtime.stop(); });
  });
  runtime.run();
  client.join();
  EXPECT_EQ(first, "you said hello\n");
  EXPECT_EQ(endless, "");
}

TEST_F(ControlSocketTest, ALivingAgentIsNotPushedAsideADeadOneIs) {
  auto first = listen();
  ASSERT_TRUE(first);
  EXPECT_EQ(listen().error().code, Code::kAlreadyExists);
  // What a crash leaves: a socket file that nobody listens on.
  const auto aside = folder + "/aside";
  ASSERT_EQ(::rename(path.c_str(), aside.c_str()), 0);
  first->reset();
  ASSERT_EQ(::rename(aside.c_str(), path.c_str()), 0);
  EXPECT_TRUE(listen());
}

}  // namespace
}  // namespace penstock::host

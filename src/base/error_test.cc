#include "base/error.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace penstock {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail_field("number", "is odd", "use an even one");
  return number / 2;
}

Result<int> quarter(int number) {
  const int once = PENSTOCK_TRY(half(number));
  return half(once);
}

TEST(Error, TryPassesValuesAndErrors) {
  EXPECT_EQ(quarter(8), 2);
  const auto failed = quarter(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kInvalidArgument);
  EXPECT_EQ(failed.error().details.at(0).hint, "use an even one");
}

TEST(Error, ContextGoesInFront) {
  auto error = std::move(fail_errno(EPERM, "attach tcx on tap3").error()).in("apply port web-1/eth0");
  EXPECT_EQ(error.message, "apply port web-1/eth0: attach tcx on tap3: Operation not permitted");
  EXPECT_EQ(error.code, Code::kPermissionDenied);
}

TEST(Error, EveryCodeHasANameThatParsesBack) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const auto code = static_cast<Code>(i);
    EXPECT_EQ(parse_code(name(code)), code);
    EXPECT_GE(http_status(code), 400);
    EXPECT_GT(exit_code(code), 0);
  }
}

}  // namespace
}  // namespace penstock

// `penstock lab test` as people and build servers run it: what passes, what has to fail, what is
// not tested at all.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

const std::string kHere = PENSTOCK_SOURCE_DIR "/tests/scenarios/";

Output lab_test(const std::string& arguments) {
  const auto output = capture_in(
      {{"/bin/sh", "-c", built("penstock") + " lab test " + arguments}, "", "", ""}, 120'000);
  return output ? *output : Output{-1, output.error().text()};
}

TEST(Runner, WhatHasToFailFailsAndSaysWhere) {
  const auto report = testing::TempDir() + "runner_test.xml";
  const auto output = lab_test(kHere + "must_fail --junit " + report);
  EXPECT_EQ(output.status, 1) << output.text;
  for (const auto* wanted :
       {"FAILED: 3 of 3 scenarios", "ping-nobody.scenario:8  exec h1: ping", "exit 1",
        "100% packet loss", "never.scenario:10  expect number", "0 is not > 0 (for 500 ms)",
        "out of paper", "device printer: command 2 of 2 failed with status 3"})
    EXPECT_NE(output.text.find(wanted), std::string::npos) << wanted << " in\n" << output.text;
  std::ifstream file(report);
  std::stringstream xml;
  xml << file.rdbuf();
  EXPECT_NE(xml.str().find("tests=\"3\" failures=\"3\""), std::string::npos) << xml.str();
  unlink(report.c_str());
}

TEST(Runner, MistakesInAFileAreToldAndNothingIsTested) {
  const auto output = lab_test(kHere + "untested");
  EXPECT_EQ(output.status, 2) << output.text;
  for (const auto* wanted : {"broken.scenario:4:31", "no physical network \"b\"",
                             "broken.scenario:6", "did you mean \"exec\"", "nothing tested"})
    EXPECT_NE(output.text.find(wanted), std::string::npos) << wanted << " in\n" << output.text;
  EXPECT_EQ(lab_test(kHere + "nowhere.scenario").status, 2);
  EXPECT_EQ(lab_test(testing::TempDir() + " 2>&1").status, 2);
}

TEST(Runner, AFailedScenariosLabIsKeptOnDemand) {
  const auto output = lab_test(kHere + "must_fail/ping-nobody.scenario --keep");
  EXPECT_EQ(output.status, 1);
  const auto at = output.text.find("penstock lab status ");
  ASSERT_NE(at, std::string::npos) << output.text;
  std::istringstream rest(output.text.substr(at + 20));
  std::string name;
  rest >> name;
  EXPECT_TRUE(Folder(name).exists());
  EXPECT_TRUE(Lab::down(name));
}

}  // namespace
}  // namespace penstock::lab

// Which process on which machine: what files say of who works on something, so that others can tell whether it lives.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lanthorn {

std::string HostName();

// Changes with every boot, so that a pid of an earlier boot is not taken for a live process.
std::string BootId();

// {pid i, host s, boot_id s, process_start s} of this process.
nlohmann::json ThisProcess();

// Whether the process that such an object names exists; false for one of another machine or boot.
bool IsAlive(const nlohmann::json& process);

}  // namespace lanthorn

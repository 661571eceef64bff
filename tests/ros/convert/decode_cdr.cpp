// SPDX-License-Identifier: Apache-2.0
// Reads a serialised AmodalMaskArray from standard input and writes what the C++ example decodes.
#include <cstdint>
#include <iostream>
#include <iterator>
#include <vector>

#include <amodal_msgs/msg/amodal_mask_array.hpp>
#include <rmw/rmw.h>
#include <rosidl_typesupport_cpp/message_type_support.hpp>

#include "decode_mask.hpp"

int main()
{
  using amodal_msgs::msg::AmodalMaskArray;
  std::vector<std::uint8_t> bytes(
    std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>{});
  rmw_serialized_message_t serialised = rmw_get_zero_initialized_serialized_message();
  serialised.buffer = bytes.data();
  serialised.buffer_length = serialised.buffer_capacity = bytes.size();
  AmodalMaskArray message;
  const auto * type =
    rosidl_typesupport_cpp::get_message_type_support_handle<AmodalMaskArray>();
  if (rmw_deserialize(&serialised, type, &message) != RMW_RET_OK) {
    return 1;
  }
  for (const auto & object : message.masks) {
    const DecodedMask mask = decode_mask(object);
    std::cout << object.track_id << ' ' << mask.height << ' ' << mask.width << ' ';
    for (std::size_t index = 0; index < mask.amodal.size(); ++index) {
      std::cout << mask.amodal[index] + mask.visible[index];
    }
    std::cout << hidden_by(object, message) << '\n';
  }
  return 0;
}

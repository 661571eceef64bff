// SPDX-License-Identifier: Apache-2.0
// Decodes one object of a mask message; needs nothing but the generated message headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <amodal_msgs/msg/amodal_mask.hpp>

/// Row by row, one byte a pixel, 1 or 0; of the rectangle `amodal_box` of the source image.
struct DecodedMask
{
  std::size_t height;
  std::size_t width;
  std::vector<std::uint8_t> visible;
  std::vector<std::uint8_t> amodal;
};

inline DecodedMask decode_mask(const amodal_msgs::msg::AmodalMask & object)
{
  const auto & picture = object.mask;
  DecodedMask decoded{picture.height, picture.width, {}, {}};
  for (std::size_t row = 0; row < picture.height; ++row) {
    for (std::size_t column = 0; column < picture.width; ++column) {
      const std::uint8_t pixel = picture.data.at(row * picture.step + column);
      decoded.visible.push_back(pixel == amodal_msgs::msg::AmodalMask::VISIBLE);
      decoded.amodal.push_back(pixel != amodal_msgs::msg::AmodalMask::BACKGROUND);
    }
  }
  return decoded;
}

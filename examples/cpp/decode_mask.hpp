// SPDX-License-Identifier: Apache-2.0
// Decodes one object of a mask message, and who hides it; needs nothing but the generated message
// headers.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <amodal_msgs/msg/amodal_mask.hpp>
#include <amodal_msgs/msg/amodal_mask_array.hpp>

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

/// Who hides an object, and how much of its hidden part each covers; empty: nothing is hidden.
inline std::string hidden_by(
  const amodal_msgs::msg::AmodalMask & object, const amodal_msgs::msg::AmodalMaskArray & message)
{
  std::string text;
  const auto add = [&text](float share, const std::string & whom) {
      text += text.empty() ? " (" : ", ";
      text += std::to_string(std::lround(100.0 * share)) + "% by " + whom;
    };
  for (std::size_t place = 0; place < object.occluder_indices.size(); ++place) {
    const auto & other = message.masks.at(object.occluder_indices[place]);
    const std::string name = other.class_id.empty() ? "?" : other.class_id;
    add(object.occluder_shares.at(place), "track " + std::to_string(other.track_id) + " " + name);
  }
  if (object.unknown_share > 0.0f) {
    add(object.unknown_share, "something unknown");
  }
  return text.empty() ? text : text + ")";
}

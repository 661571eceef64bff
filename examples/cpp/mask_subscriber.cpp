// SPDX-License-Identifier: Apache-2.0
// Subscribes to amodal/masks and decodes every mask: ros2 run amodal_examples mask_subscriber
#include <cstdio>
#include <memory>
#include <numeric>

#include <amodal_msgs/msg/amodal_mask_array.hpp>
#include <rclcpp/rclcpp.hpp>

#include "decode_mask.hpp"

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  const auto node = std::make_shared<rclcpp::Node>("mask_subscriber");
  const auto subscription = node->create_subscription<amodal_msgs::msg::AmodalMaskArray>(
    "amodal/masks", 10, [](amodal_msgs::msg::AmodalMaskArray::ConstSharedPtr message) {
      for (const auto & object : message->masks) {
        const DecodedMask mask = decode_mask(object);
        const int amodal = std::accumulate(mask.amodal.begin(), mask.amodal.end(), 0);
        const int visible = std::accumulate(mask.visible.begin(), mask.visible.end(), 0);
        std::printf(
          "track %d %s at (%u, %u): %d px, %d visible, %.0f%% hidden%s\n", object.track_id,
          object.class_id.empty() ? "?" : object.class_id.c_str(), object.amodal_box.x_offset,
          object.amodal_box.y_offset, amodal, visible, 100.0 * object.occlusion_rate,
          hidden_by(object, *message).c_str());
      }
      std::fflush(stdout);
    });
  rclcpp::spin(node);
  rclcpp::shutdown();
  return 0;
}

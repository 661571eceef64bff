#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Enters the workspace, then runs the command.
set -e
# shellcheck source=/dev/null
. "/opt/ros/$ROS_DISTRO/setup.bash"
# shellcheck source=/dev/null
. /opt/amodal_ws/install/local_setup.bash
exec "$@"

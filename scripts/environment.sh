# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/demo, scripts/test and scripts/web: chooses a Python and enters the project's environment.
# PYTHON=... selects the interpreter; otherwise the first of python3, python3.12, ... that fits.

project_root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

supported='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'

# Prints the interpreter to build on. With a ROS sourced, it must be the one that ROS was built for.
find_python() {
  local candidate probe=$supported
  [ -n "${ROS_DISTRO:-}" ] && probe="import rclpy; $supported"
  for candidate in python3 /usr/bin/python3 python3.{12,11,10,13,14}; do
    if "$candidate" -c "$probe" > /dev/null 2>&1; then
      [ "$candidate" = python3 ] || ! command -v python3 > /dev/null \
        || echo "python3 is $(python3 -V 2>&1), which does not fit: using $candidate" >&2
      echo "$candidate"
      return
    fi
  done
  echo python3
}

# choose_python demo|test|web: sets $python, or says what is missing and ends.
choose_python() {
  python=${PYTHON:-$(find_python)}
  if ! "$python" -c "$supported" > /dev/null 2>&1; then
    local found="not found"
    command -v "$python" > /dev/null && found=$("$python" -V 2>&1)
    echo "scripts/$1: missing: Python 3.10 to 3.14 ($python: $found):" \
      "sudo apt install python3 python3-venv, or name one: PYTHON=/path/to/python3.12" >&2
    exit 2
  fi
}

# use_environment demo|test: makes .venv and .ros where necessary, then enters them.
use_environment() {
  local python
  choose_python "$1"
  (cd "$project_root" && exec "$python" -m scripts.bootstrap "$1") || exit $?
  # shellcheck source=/dev/null
  . "$project_root/.ros/env.sh"
}

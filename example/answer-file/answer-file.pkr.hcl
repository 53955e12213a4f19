# Nobody connects to this guest. The source is a generalized Windows that keeps
# unattend.xml as C:\Windows\Panther\unattend.xml: its first boot goes on to audit
# mode, runs the commands there, generalizes and powers itself off.
variable "source_path" {
  type    = string
  default = "server2022.vhdx"
}

source "sysprep-vhd" "server" {
  source_path      = var.source_path
  communicator     = "none"
  shutdown_timeout = "3h"  # from the start to the power-off
  stall_timeout    = "20m" # without a write, a new picture on the screen or a restart

  output_directory = "output-answer-file"
}

build {
  sources = ["source.sysprep-vhd.server"]
}

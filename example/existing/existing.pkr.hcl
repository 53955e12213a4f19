# A virtual machine that is already running, on any hypervisor: the plugin
# generalizes it, waits until it is off, and takes its disk from disk_path.
variable "disk_path" {
  type        = string
  default     = "server2022.qcow2"
  description = "The disk of the machine: VHD, VHDX, qcow2 or raw. It is only read."
}

variable "password" {
  type      = string
  sensitive = true
}

source "sysprep-vhd" "running" {
  hypervisor     = "existing"
  disk_path      = var.disk_path
  communicator   = "winrm"
  winrm_host     = "192.0.2.10"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_use_ssl  = true
  winrm_insecure = true # a self-signed certificate
  winrm_use_ntlm = true

  output_directory = "output-existing"
  format           = "vhdx"
}

build {
  sources = ["source.sysprep-vhd.running"]

  provisioner "sysprep" {
    vm_mode       = true # deployed on the same hypervisor again
    action        = "shutdown"
    log_directory = "logs"
  }
}

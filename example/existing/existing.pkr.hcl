# A virtual machine that already runs, on whatever hypervisor: the plugin
# generalizes it, waits until it is off, and takes its disk from disk_path.
variable "password" {
  type      = string
  sensitive = true
}

source "sysprep-vhd" "running" {
  hypervisor     = "existing"
  disk_path      = "/var/lib/libvirt/images/server2022.qcow2"
  communicator   = "winrm"
  winrm_host     = "192.0.2.10"
  winrm_username = "Administrator"
  winrm_password = var.password
  winrm_use_ssl  = true
  winrm_insecure = true
  winrm_use_ntlm = true

  output_directory = "output-existing"
  format           = "vhdx"
  vhd_type         = "dynamic"
}

build {
  sources = ["source.sysprep-vhd.running"]

  provisioner "sysprep" {
    vm_mode       = true
    action        = "shutdown"
    log_directory = "logs"
  }
}

# After Orange-Cyberdefense/GOAD 79cc250, packer/vagrant/windows_2019.json (vmware-iso).
# Its shutdown_command was a batch file with sysprep /shutdown in it: the same pair, and no
# shutdown_command.

source "vmware-iso" "windows" {
  boot_wait         = "2m"
  communicator      = "winrm"
  cpus              = 2
  disk_adapter_type = "lsisas1068"
  disk_size         = 61440
  disk_type_id      = "1"
  floppy_files      = ["autounattend.xml", "enable-winrm.ps1"]
  guest_os_type     = "windows9srv-64"
  headless          = false
  iso_checksum      = "none"
  iso_url           = "windows.iso"
  memory            = 2048
  version           = "14"
  vm_name           = "WindowsServer2019"
  vmx_data = {
    "RemoteDisplay.vnc.enabled" = "false"
    "RemoteDisplay.vnc.port"    = "5900"
  }
  vmx_remove_ethernet_interfaces = true
  vnc_port_max                   = 5980
  vnc_port_min                   = 5900
  winrm_password                 = "vagrant"
  winrm_timeout                  = "2h"
  winrm_username                 = "vagrant"
}

build {
  sources = ["source.vmware-iso.windows"]

  provisioner "sysprep" {
    action = "shutdown"
  }
}

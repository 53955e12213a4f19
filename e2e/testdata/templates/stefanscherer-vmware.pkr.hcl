# After StefanScherer/packer-windows 1ebb0b0, windows_2016_docker.json (vmware-iso).
# It resealed nothing itself.

source "vmware-iso" "windows" {
  communicator     = "winrm"
  iso_url          = "windows.iso"
  iso_checksum     = "none"
  headless         = false
  boot_wait        = "2m"
  winrm_username   = "vagrant"
  winrm_password   = "vagrant"
  winrm_timeout    = "6h"
  shutdown_command = "shutdown /s /t 10 /f /d p:4:1 /c \"Packer Shutdown\""
  guest_os_type    = "windows8srv-64"
  disk_size        = 61440
  vnc_port_min     = 5900
  vnc_port_max     = 5980
  version          = 14
  floppy_files     = ["autounattend.xml", "enable-winrm.ps1"]
  vmx_data = {
    "RemoteDisplay.vnc.enabled" = "false"
    "RemoteDisplay.vnc.port"    = "5900"
    "memsize"                   = "2048"
    "numvcpus"                  = "2"
    "scsi0.virtualDev"          = "lsisas1068"
    "vhv.enable"                = "TRUE"
  }
}

build {
  sources = ["source.vmware-iso.windows"]

  provisioner "sysprep" {
    action = "quit"
  }
}

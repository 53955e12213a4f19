# After Orange-Cyberdefense/GOAD 79cc250, packer/vagrant/windows_2019.json (virtualbox-iso).
# Its shutdown_command was a batch file with sysprep in it.

source "virtualbox-iso" "windows" {
  boot_wait            = "2m"
  communicator         = "winrm"
  cpus                 = 2
  disk_size            = 61440
  floppy_files         = ["autounattend.xml", "enable-winrm.ps1"]
  guest_additions_mode = "disable"
  guest_os_type        = "Windows2016_64"
  headless             = false
  iso_checksum         = "none"
  iso_url              = "windows.iso"
  memory               = 2048
  shutdown_command     = "shutdown /s /t 5 /f"
  vm_name              = "WindowsServer2019"
  winrm_password       = "vagrant"
  winrm_timeout        = "2h"
  winrm_username       = "vagrant"
}

build {
  sources = ["source.virtualbox-iso.windows"]

  provisioner "sysprep" {
    action = "quit"
  }
}

# After rgl/windows-vagrant 03177c4, windows-2022.pkr.hcl (qemu).
# It resealed nothing itself.

source "qemu" "windows" {
  accelerator  = "kvm"
  machine_type = "q35"
  cpus         = 2
  memory       = 4096
  qemuargs = [
    ["-cpu", "host"],
    ["-device", "virtio-scsi-pci,id=scsi0"],
    ["-device", "scsi-hd,bus=scsi0.0,drive=drive0"],
    ["-device", "virtio-net,netdev=user.0"],
    ["-vga", "qxl"],
  ]
  disk_interface           = "virtio-scsi"
  disk_cache               = "unsafe"
  disk_discard             = "unmap"
  disk_size                = 61440
  cd_label                 = "PROVISION"
  cd_files                 = ["autounattend.xml", "enable-winrm.ps1"]
  format                   = "qcow2"
  headless                 = true
  net_device               = "virtio-net"
  http_directory           = "."
  iso_url                  = "windows.iso"
  iso_checksum             = "none"
  shutdown_command         = "shutdown /s /t 0 /f /d p:4:1 /c \"Packer Shutdown\""
  communicator             = "ssh"
  ssh_username             = "vagrant"
  ssh_password             = "vagrant"
  ssh_timeout              = "4h"
  ssh_file_transfer_method = "sftp"
}

build {
  sources = ["source.qemu.windows"]

  provisioner "sysprep" {
    action = "quit"
  }
}

# After rgl/windows-vagrant 03f84a7, windows-2022-vsphere.pkr.hcl.
# It resealed nothing itself; cloudbase-init, which it installs, runs sysprep here.

source "vsphere-iso" "windows" {
  CPUs          = 4
  RAM           = 4096
  guest_os_type = "windows2019srvNext_64Guest"
  cd_label      = "PROVISION"
  cd_files      = ["autounattend.xml", "enable-winrm.ps1"]
  iso_paths     = ["[ds] iso/windows-2022.iso", "[ds] iso/vmtools.iso"]
  network_adapters {
    network      = "VM Network"
    network_card = "vmxnet3"
  }
  disk_controller_type = ["pvscsi"]
  storage {
    disk_size             = 61440
    disk_thin_provisioned = true
  }
  convert_to_template      = false
  insecure_connection      = true
  vcenter_server           = "vcenter.example"
  username                 = "user"
  password                 = "password"
  host                     = "esx"
  datacenter               = "dc"
  cluster                  = "cluster"
  datastore                = "ds"
  folder                   = "templates"
  vm_name                  = "windows-2022-amd64-vsphere"
  shutdown_command         = "shutdown /s /t 0 /f /d p:4:1 /c \"Packer Shutdown\""
  communicator             = "ssh"
  ssh_password             = "vagrant"
  ssh_username             = "vagrant"
  ssh_timeout              = "4h"
  ssh_file_transfer_method = "sftp"
}

build {
  sources = ["source.vsphere-iso.windows"]

  provisioner "sysprep" {
    agent  = "cloudbase-init"
    action = "quit"
  }
}

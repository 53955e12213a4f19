# After kubernetes-sigs/image-builder 04590f6, images/capi/packer/ova/packer-windows.json (vsphere-iso).
# Its shutdown_command was a script with sysprep in it.

source "vsphere-iso" "windows" {
  CPUs                 = 4
  RAM                  = 4096
  boot_wait            = "6s"
  cluster              = "cluster"
  communicator         = "winrm"
  convert_to_template  = false
  datacenter           = "dc"
  datastore            = "ds"
  disk_controller_type = ["pvscsi"]
  firmware             = "bios"
  floppy_files         = ["autounattend.xml", "enable-winrm.ps1"]
  folder               = "templates"
  guest_os_type        = "windows2019srv_64Guest"
  host                 = "esx"
  insecure_connection  = true
  iso_paths            = ["[ds] windows.iso", "[ds] vmtools.iso"]
  network_adapters {
    network      = "VM Network"
    network_card = "vmxnet3"
  }
  password         = "password"
  resource_pool    = "pool"
  shutdown_command = "shutdown /s /t 5 /f"
  shutdown_timeout = "1h"
  storage {
    disk_size             = 81920
    disk_thin_provisioned = true
  }
  username       = "user"
  vcenter_server = "vcenter.example"
  vm_name        = "windows-2019"
  vm_version     = 18
  winrm_insecure = true
  winrm_password = "S3cr3t0!"
  winrm_timeout  = "4h"
  winrm_username = "Administrator"
  export {
    force            = true
    output_directory = "output"
  }
}

build {
  sources = ["source.vsphere-iso.windows"]

  provisioner "sysprep" {
    action = "quit"
    unattend {
      time_zone = "Pacific Standard Time"
    }
  }
}

# After kubernetes-sigs/image-builder 04590f6, images/capi/packer/ova/packer-windows.json (vmware-iso).
# Its shutdown_command was a script with sysprep in it.

source "vmware-iso" "windows" {
  boot_wait         = "6s"
  communicator      = "winrm"
  cpus              = 4
  disk_adapter_type = "scsi"
  disk_size         = 81920
  disk_type_id      = "0"
  floppy_files      = ["autounattend.xml", "enable-winrm.ps1"]
  guest_os_type     = "windows2019srv-64"
  iso_checksum      = "none"
  iso_urls          = ["windows.iso"]
  memory            = 4096
  output_directory  = "output"
  shutdown_command  = "shutdown /s /t 5 /f"
  shutdown_timeout  = "1h"
  version           = "18"
  vm_name           = "windows-2019"
  vmdk_name         = "windows-2019"
  vmx_data = {
    "numvcpus"         = "4"
    "scsi0.virtualDev" = "pvscsi"
  }
  winrm_password = "S3cr3t0!"
  winrm_timeout  = "4h"
  winrm_username = "Administrator"
}

build {
  sources = ["source.vmware-iso.windows"]

  provisioner "sysprep" {
    action = "quit"
    unattend {
      time_zone = "Pacific Standard Time"
    }
  }
}

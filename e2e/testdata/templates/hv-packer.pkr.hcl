# After marcinbojko/hv-packer 2d9b724, templates/hv_windows.pkr.hcl.
# Its last provisioner started sysprep /shutdown and did not wait for it. disable_shutdown, which
# it lacks, lets the builder wait for the power-off.

source "hyperv-iso" "windows" {
  boot_command          = ["a<enter><wait>a<enter>"]
  boot_wait             = "1s"
  communicator          = "winrm"
  cpus                  = 4
  disable_shutdown      = true
  disk_size             = 70000
  enable_dynamic_memory = true
  enable_secure_boot    = false
  generation            = 2
  guest_additions_mode  = "disable"
  iso_checksum          = "none"
  iso_url               = "windows.iso"
  memory                = 4096
  output_directory      = "output"
  secondary_iso_images  = ["windows.iso"]
  shutdown_timeout      = "30m"
  skip_export           = true
  switch_name           = "vSwitch"
  temp_path             = "."
  vlan_id               = ""
  vm_name               = "packer-windows2019-g2"
  winrm_password        = "password"
  winrm_timeout         = "8h"
  winrm_username        = "Administrator"
}

build {
  sources = ["source.hyperv-iso.windows"]

  provisioner "sysprep" {
    action = "shutdown"
    unattend {
      time_zone = "UTC"
    }
  }
}

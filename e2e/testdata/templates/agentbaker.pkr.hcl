# After Azure/AgentBaker 0342827, vhdbuilder/packer/windows/windows-vhd-builder-sig.json.
# What sysprep.ps1 does besides (removing agents and listeners) stays in scripts.

source "azure-arm" "vhd" {
  client_id                           = "00000000-0000-0000-0000-000000000001"
  client_secret                       = "secret"
  subscription_id                     = "00000000-0000-0000-0000-000000000002"
  tenant_id                           = "00000000-0000-0000-0000-000000000003"
  location                            = "eastus"
  vm_size                             = "Standard_D8s_v5"
  os_disk_size_gb                     = 60
  os_type                             = "Windows"
  image_publisher                     = "MicrosoftWindowsServer"
  image_offer                         = "WindowsServer"
  image_sku                           = "2022-datacenter-core-smalldisk"
  image_version                       = "latest"
  polling_duration_timeout            = "1h"
  communicator                        = "winrm"
  winrm_use_ssl                       = true
  winrm_insecure                      = true
  winrm_timeout                       = "10m"
  winrm_username                      = "packer"
  virtual_network_resource_group_name = "net"
  virtual_network_name                = "vnet"
  virtual_network_subnet_name         = "subnet"
  managed_image_name                  = "aks-windows"
  managed_image_resource_group_name   = "images"
  shared_image_gallery_destination {
    subscription        = "00000000-0000-0000-0000-000000000002"
    resource_group      = "images"
    gallery_name        = "gallery"
    image_name          = "windows-2022"
    image_version       = "1.0.0"
    replication_regions = ["eastus"]
  }
}

build {
  sources = ["source.azure-arm.vhd"]

  provisioner "sysprep" {
    action              = "quit"
    generalize_timeout  = "30m"
    remove_answer_files = true
  }
}

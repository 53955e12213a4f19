# After actions/runner-images 13d4eac, images/windows/templates/source.windows.pkr.hcl.
# Without winrm_expiration_time, an option of azure 2 that 1.4.5 does not know.
# Its endless loop over ImageState is the provisioner's now.

source "azure-arm" "image" {
  client_id                              = "00000000-0000-0000-0000-000000000001"
  client_secret                          = "secret"
  subscription_id                        = "00000000-0000-0000-0000-000000000002"
  tenant_id                              = "00000000-0000-0000-0000-000000000003"
  build_resource_group_name              = "build"
  communicator                           = "winrm"
  image_publisher                        = "MicrosoftWindowsServer"
  image_offer                            = "WindowsServer"
  image_sku                              = "2022-Datacenter"
  managed_image_name                     = "windows-2022"
  managed_image_resource_group_name      = "images"
  managed_image_storage_account_type     = "Premium_LRS"
  os_disk_size_gb                        = 256
  os_type                                = "Windows"
  private_virtual_network_with_public_ip = false
  vm_size                                = "Standard_F8s_v2"
  winrm_insecure                         = true
  winrm_use_ssl                          = true
  winrm_username                         = "packer"
}

build {
  sources = ["source.azure-arm.image"]

  provisioner "sysprep" {
    action  = "quit"
    vm_mode = true
  }
}

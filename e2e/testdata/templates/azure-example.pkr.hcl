# After hashicorp/packer-plugin-azure 2a84a9f, example/windows.json.
# Its loops over the services and over ImageState are the provisioner's now.

source "azure-arm" "windows" {
  client_id                         = "00000000-0000-0000-0000-000000000001"
  client_secret                     = "secret"
  subscription_id                   = "00000000-0000-0000-0000-000000000002"
  tenant_id                         = "00000000-0000-0000-0000-000000000003"
  managed_image_resource_group_name = "packertest"
  managed_image_name                = "MyWindowsOSImage"
  os_type                           = "Windows"
  image_publisher                   = "MicrosoftWindowsServer"
  image_offer                       = "WindowsServer"
  image_sku                         = "2022-datacenter"
  communicator                      = "winrm"
  winrm_use_ssl                     = true
  winrm_insecure                    = true
  winrm_timeout                     = "3m"
  winrm_username                    = "packer"
  location                          = "South Central US"
  vm_size                           = "Standard_DS2_v2"
}

build {
  sources = ["source.azure-arm.windows"]

  provisioner "sysprep" {
    action              = "quit"
    vm_mode             = true
    remove_answer_files = true
  }
}

# After kubernetes-sigs/image-builder 0df1c84, images/capi/packer/ami/packer-windows.json.
# SysprepInstance.ps1, which ended in a power-off, is the agent's now.

source "amazon-ebs" "windows" {
  access_key                  = "key"
  secret_key                  = "secret"
  ami_name                    = "capa-ami-windows-2019"
  associate_public_ip_address = true
  communicator                = "winrm"
  disable_stop_instance       = true
  instance_type               = "t3.large"
  launch_block_device_mappings {
    delete_on_termination = true
    device_name           = "/dev/sda1"
    volume_size           = 40
    volume_type           = "gp2"
  }
  region     = "us-east-1"
  source_ami = "ami-00000000000000001"
  tags = {
    distribution = "windows"
  }
  user_data_file = "winrm_bootstrap.txt"
  winrm_insecure = true
  winrm_timeout  = "6m"
  winrm_use_ssl  = true
  winrm_username = "Administrator"
}

build {
  sources = ["source.amazon-ebs.windows"]

  provisioner "sysprep" {
    agent  = "ec2launch"
    action = "shutdown"
  }
}

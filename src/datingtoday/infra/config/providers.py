"""Settings of the parts that reach other companies: SMS and storage. See `config_sections.py`."""

from typing import Literal

from datingtoday.infra.config.fields import Section, key
from datingtoday.infra.config.value_types import FolderPath, HttpUrl, Location, Name, Sign


class SmsSection(Section):
    """SMS provider."""

    provider: Literal["console", "aliyun", "tencent"] = key(
        "console",
        en="SMS provider; console prints codes to the server's terminal.",
        zh="console 表示把验证码打印在服务器终端上。",
    )
    allow_console: bool = key(
        False,
        en="Allow provider = console with your own database.",
        zh="使用自己的数据库时仍允许 provider = console。",
    )
    echo: bool = key(
        False,
        embedded_default=True,
        en="Answer sendsms with the code, to loopback peers without forwarding headers only.",
        zh="sendsms 的应答中返回验证码，仅对无转发头的本机回环请求。",
        unset=("on in the embedded default, else off", "内嵌默认模式下开启，否则关闭"),
    )
    timeout_s: float = key(
        5.0, ge=0.5, le=60, en="Timeout of a call to the provider, in seconds.", zh="等待短信服务商的秒数。"
    )
    aliyun_access_key_id: Name = key(
        "", en="Aliyun: AccessKey id.", zh="阿里云：AccessKey ID。", example="LTAI-example"
    )
    aliyun_access_key_secret: Name = key(
        "",
        en="Aliyun: AccessKey secret.",
        zh="阿里云：AccessKey Secret。",
        secret=True,
        example="example-aliyun-secret",
    )
    aliyun_sign_name: Sign = key(
        "", en="Aliyun: approved signature.", zh="阿里云：已审核的短信签名。", example="DatingToday"
    )
    aliyun_template_code: Name = key(
        "",
        en="Aliyun: approved template with the variable ${code}.",
        zh="阿里云：含变量 ${code} 的已审核模板。",
        example="SMS_123456789",
    )
    aliyun_endpoint: HttpUrl = key(
        "",
        en="Aliyun: custom endpoint.",
        zh="阿里云：其他接入地址。",
        example="https://dysmsapi.aliyuncs.com",
        unset=("the provider's default", "服务商默认地址"),
    )
    tencent_secret_id: Name = key(
        "", en="Tencent Cloud: SecretId.", zh="腾讯云：SecretId。", example="AKID-example"
    )
    tencent_secret_key: Name = key(
        "",
        en="Tencent Cloud: SecretKey.",
        zh="腾讯云：SecretKey。",
        secret=True,
        example="example-tencent-secret",
    )
    tencent_app_id: Name = key(
        "",
        en="Tencent Cloud: SdkAppId of the SMS application.",
        zh="腾讯云：短信应用 SdkAppId。",
        example="1400000000",
    )
    tencent_sign_name: Sign = key(
        "", en="Tencent Cloud: approved signature.", zh="腾讯云：已审核的短信签名。", example="DatingToday"
    )
    tencent_template_id: Name = key(
        "",
        en="Tencent Cloud: approved template whose variable {1} is the code.",
        zh="腾讯云：变量 {1} 为验证码的已审核模板。",
        example="123456",
    )
    tencent_region: Name = key(
        "ap-guangzhou", en="Tencent Cloud: region of the service.", zh="腾讯云：服务地域。"
    )
    tencent_endpoint: HttpUrl = key(
        "",
        en="Tencent Cloud: custom endpoint.",
        zh="腾讯云：其他接入地址。",
        example="https://sms.tencentcloudapi.com",
        unset=("the provider's default", "服务商默认地址"),
    )


class StorageSection(Section):
    """Store of uploads."""

    provider: Literal["local", "s3"] = key(
        "local",
        en="local: a folder; s3: an S3-compatible store.",
        zh="local 为目录，s3 为兼容 S3 的存储。",
    )
    path: FolderPath = key(
        "",
        en="local: the folder of the uploads, the same for servers, workers and commands.",
        zh="local：存放上传文件的目录，服务、后台任务与命令须一致。",
        example="/var/lib/datingtoday/media",
        unset=("media in the data folder", "数据目录中的 media"),
    )
    s3_endpoint: HttpUrl = key(
        "",
        en="Endpoint of the store.",
        zh="存储服务地址。",
        example="https://s3.example.com",
        unset=("that of AWS", "AWS 默认地址"),
    )
    s3_bucket: Name = key("", en="Bucket.", zh="存储桶。", example="datingtoday-media")
    s3_region: Name = key("us-east-1", en="Region of the bucket.", zh="存储桶所在区域。")
    s3_access_key: Name = key("", en="Access key.", zh="访问密钥 ID。", example="example-s3-access-key")
    s3_secret_key: Name = key(
        "", en="Secret key.", zh="访问密钥。", secret=True, example="example-s3-secret-key"
    )
    x_accel: Location = key(
        "",
        en="Internal nginx location through which nginx delivers local files.",
        zh="由 nginx 通过此 internal 路径直接发送本地文件。",
        example="/_media/",
        unset=("the server sends the bytes itself", "由程序发送"),
    )

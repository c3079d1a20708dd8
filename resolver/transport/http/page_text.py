"""The words of the pages, in Chinese and in English, and which of the two a browser wants."""

from __future__ import annotations

CHINESE, ENGLISH = "zh-CN", "en"

TEXT: dict[str, dict[str, str]] = {
    CHINESE: {
        "node": "二级节点",
        "lookup": "标识解析",
        "placeholder": "输入标识，例如 {prefix}.1/HELLO",
        "resolve": "解析",
        "other": "English",
        "listed": "标识值",
        "index": "索引",
        "type": "类型",
        "data": "数据",
        "updated": "更新时间",
        "registered": "注册时间",
        "changed": "最近变更",
        "never": "未变更",
        "version": "版本",
        "template": "元数据模板",
        "reference": "模板版本",
        "alias_of": "{alias} 是别名，指向 {name}。",
        "count": "值数量",
        "json": "JSON 数据",
        "visit": "访问链接",
        "binary": "二进制数据，{octets} 字节",
        "empty": "空",
        "more": "显示全部",
        "source": "应答来源",
        "here": "本节点",
        "not_found": "未找到该标识",
        "refused": "无法解析",
        "why": "原因",
        "next": "您可以",
        "next_spelling": "核对标识的拼写：前缀与后缀之间是“/”，字母不区分大小写；",
        "next_owner": "联系印制该标识的企业；",
        "next_home": "返回首页重新查询。",
        "home": "首页",
        "home_hint": "输入或粘贴标识，查看其注册的全部公开信息；加上 ?noredirect 可查看而不跳转。",
        "redirecting": "正在前往",
        "HANDLE_NOT_FOUND": "该标识没有在本节点注册，可能拼写有误，或已被删除。",
        "PREFIX_NOT_SERVED": "本节点不负责前缀“{prefix}”，该标识应由其他节点解析。",
        "PREFIX_NOT_ENABLED": "前缀“{prefix}”目前未启用。",
        "PREFIX_ELSEWHERE": "前缀“{prefix}”的标识存放在另一个节点。",
        "VALUES_NOT_FOUND": "该标识已注册，但没有符合条件的公开信息。",
        "INVALID_FIELD": "链接中的参数不正确。",
        "INVALID_NAME": "这不是一个有效的标识：标识由前缀、“/”和后缀组成。",
        "CREDENTIAL_MISSING": "本节点不对公众开放解析。",
        "OTHER": "节点暂时无法给出结果，请稍后再试。",
        "ALIAS": "该标识的别名形成了循环，或层数过多。",
        "APPENDED": "附加的内容（urlappend）会改变目标网站，已被拒绝。",
    },
    ENGLISH: {
        "node": "Secondary node",
        "lookup": "Resolve an identifier",
        "placeholder": "An identifier, such as {prefix}.1/HELLO",
        "resolve": "Resolve",
        "other": "中文",
        "listed": "Values",
        "index": "Index",
        "type": "Type",
        "data": "Data",
        "updated": "Changed",
        "registered": "Registered",
        "changed": "Last change",
        "never": "never changed",
        "version": "Version",
        "template": "Template",
        "reference": "template version",
        "alias_of": "{alias} is an alias of {name}.",
        "count": "Values",
        "json": "JSON",
        "visit": "Open the link",
        "binary": "binary data, {octets} octets",
        "empty": "empty",
        "more": "Show all of it",
        "source": "Answered by",
        "here": "this node",
        "not_found": "No such identifier",
        "refused": "Cannot be resolved",
        "why": "Why",
        "next": "What you can do",
        "next_spelling": "check the spelling: “/” stands between prefix and suffix, case does not matter;",
        "next_owner": "ask the enterprise that printed the identifier;",
        "next_home": "go back to the first page and look again.",
        "home": "Home",
        "home_hint": "Type or paste an identifier to see what is registered; ?noredirect shows it without leaving.",
        "redirecting": "On the way to",
        "HANDLE_NOT_FOUND": "The identifier is not registered in this node: it may be misspelt or deleted.",
        "PREFIX_NOT_SERVED": "This node does not answer for the prefix “{prefix}”; another node does.",
        "PREFIX_NOT_ENABLED": "The prefix “{prefix}” is not in service.",
        "PREFIX_ELSEWHERE": "Identifiers with the prefix “{prefix}” live in another node.",
        "VALUES_NOT_FOUND": "The identifier is registered and has no public values of this kind.",
        "INVALID_FIELD": "A parameter of the link is wrong.",
        "INVALID_NAME": "This is no identifier: one has a prefix, “/” and a suffix.",
        "CREDENTIAL_MISSING": "This node does not resolve for the public.",
        "OTHER": "The node has no answer at the moment: please try again.",
        "ALIAS": "The aliases of the identifier lead in a circle, or too far.",
        "APPENDED": "What is to be appended (urlappend) would change the site that is led to: refused.",
    },
}
"""Every text of the pages by language and key."""

TYPE_NAMES: dict[str, dict[str, str]] = {
    CHINESE: {
        "URL": "网址",
        "EMAIL": "电子邮箱",
        "DESC": "描述",
        "HS_ADMIN": "管理权限",
        "HS_SITE": "服务站点",
        "HS_VLIST": "管理员组",
        "HS_PUBKEY": "公钥",
        "HS_SECKEY": "密钥",
        "HS_ALIAS": "别名",
        "HS_CERT": "证书",
        "HS_SIGNATURE": "签名",
        "HS_NAMESPACE": "命名空间",
        "10320/LOC": "多个位置",
    },
    ENGLISH: {
        "URL": "web address",
        "EMAIL": "e-mail",
        "DESC": "description",
        "HS_ADMIN": "administrators",
        "HS_SITE": "service site",
        "HS_VLIST": "group of administrators",
        "HS_PUBKEY": "public key",
        "HS_SECKEY": "secret key",
        "HS_ALIAS": "alias",
        "HS_CERT": "certificate",
        "HS_SIGNATURE": "signature",
        "HS_NAMESPACE": "namespace",
        "10320/LOC": "several locations",
    },
}
"""What well-known types are called, by folded type."""

_PARTS_MAX = 20


def language_of(header: str, chosen: str = "") -> str:
    """The language that Accept-Language wants, Chinese unless it is English; ``chosen`` is the page's own parameter."""
    if chosen:
        return ENGLISH if chosen.lower().startswith("en") else CHINESE
    wanted = {CHINESE: 0.0, ENGLISH: 0.0}
    for part in header.split(",")[:_PARTS_MAX]:
        tag, _, parameter = part.partition(";")
        name = tag.strip().lower()
        language = CHINESE if name.startswith("zh") else ENGLISH if name.startswith("en") else ""
        if language:
            wanted[language] = max(wanted[language], _quality(parameter))
    return ENGLISH if wanted[ENGLISH] > wanted[CHINESE] else CHINESE


def _quality(parameter: str) -> float:
    text = parameter.strip().removeprefix("q=")
    try:
        return min(1.0, max(0.0, float(text))) if text else 1.0
    except ValueError:
        return 0.0

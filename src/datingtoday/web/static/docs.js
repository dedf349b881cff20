"use strict";
// Shows /openapi.json with Swagger UI, adds the common parameters to every request that is tried out, and signs it.

(async () => {
  const COMMON = ["appkey", "timestamp", "nonce", "sign", "sign_method", "userId", "token", "lang"];
  const byId = (id) => document.getElementById(id);
  const keys = { appkey: "", appsecret: "", own: false };
  const login = { userId: "", token: "" };
  let clockOffsetMs = 0;
  let operations = new Map();

  // -- the panel

  function say(element, className, ...parts) {
    element.className = className;
    element.replaceChildren(...parts);
  }

  function code(text) {
    const element = document.createElement("code");
    element.textContent = text;
    return element;
  }

  function showState() {
    const state = byId("signing-state");
    if (!Signing.isPossible()) {
      say(state, "bad", "浏览器只在 https 或 127.0.0.1 上提供加密功能，无法签名 · " +
        "cannot sign: browsers offer cryptography only on https or 127.0.0.1");
    } else if (keys.appsecret) {
      say(state, "good", "请求由本页自动签名，appkey · requests are signed by this page, appkey ", code(keys.appkey));
    } else {
      say(state, "bad", "本页没有密钥，无法签名；请填写 · this page has no key and cannot sign; type one");
    }
    byId("keys").hidden = keys.own || !Signing.isPossible();
    byId("forget").hidden = !login.token;
    if (login.token) {
      say(byId("login-state"), "good", "已登录 · logged in, userId ", code(login.userId));
    } else {
      say(byId("login-state"), "", "未登录：先调用 sendsms，再调用 login · not yet: call sendsms, then login");
    }
  }

  byId("keys").addEventListener("submit", (event) => {
    event.preventDefault();
    keys.appkey = byId("appkey").value.trim();
    keys.appsecret = byId("appsecret").value.trim();
    byId("appsecret").value = "";
    showState();
  });
  byId("forget").addEventListener("click", () => {
    login.userId = login.token = "";
    showState();
  });

  // -- requests

  // The parameters of a request that Swagger UI has put together, and its file if there is one.
  function readParams(request) {
    const params = new Map();
    let file = null;
    const take = (name, value) => {
      if (value instanceof Blob) file = { name, value };
      else if (value !== undefined && value !== null) params.set(name, String(value));
    };
    new URL(request.url, location.href).searchParams.forEach((value, name) => take(name, value));
    if (request.body instanceof FormData) {
      for (const [name, value] of request.body.entries()) take(name, value);
    } else if (typeof request.body === "string") {
      new URLSearchParams(request.body).forEach((value, name) => take(name, value));
    }
    return { params, file };
  }

  function writeParams(request, url, params, file) {
    if (request.method === "GET") {
      url.search = new URLSearchParams([...params]).toString();
      request.url = url.href;
      delete request.body;
      return;
    }
    url.search = "";
    request.url = url.href;
    if (file !== null || request.body instanceof FormData) {
      const form = new FormData();
      params.forEach((value, name) => form.append(name, value));
      if (file !== null) form.append(file.name, file.value);
      request.body = form;
      return;
    }
    request.headers["Content-Type"] = "application/x-www-form-urlencoded";
    request.body = new URLSearchParams([...params]).toString();
  }

  // A path of the document that this path is an instance of: /api/media/{media_id}.
  function operationOf(method, path) {
    for (const [key, operation] of operations) {
      const [itsMethod, pattern] = key.split(" ");
      const parts = pattern.split("/");
      const given = path.split("/");
      if (itsMethod === method && parts.length === given.length &&
          parts.every((part, i) => part.startsWith("{") || part === given[i])) return operation;
    }
    return null;
  }

  async function prepare(request) {
    const url = new URL(request.url, location.href);
    request.method = (request.method || "GET").toUpperCase();
    const operation = operationOf(request.method, url.pathname);
    if (operation === null || url.origin !== location.origin) return request;
    const { params, file } = readParams(request);
    if (byId("lang").value) params.set("lang", byId("lang").value);
    if (operation["x-require-token"] && login.token) {
      params.set("userId", login.userId);
      params.set("token", login.token);
    }
    if (operation["x-require-sign"] && keys.appsecret && Signing.isPossible()) {
      params.set("appkey", keys.appkey);
      await Signing.sign(request.method, url.pathname, params, file && file.value, keys.appsecret, clockOffsetMs);
    }
    writeParams(request, url, params, file);
    return request;
  }

  function notice(response) {
    let answer;
    try {
      answer = JSON.parse(response.text);
    } catch {
      return response;
    }
    const path = new URL(response.url, location.href).pathname;
    if (path === "/api/auth/login" && answer.code === 0) {
      login.userId = String(answer.data.user_id);
      login.token = answer.data.token;
    }
    if (answer.code === 1101) login.userId = login.token = "";
    if (answer.code === 1001 && answer.data && answer.data.server_time) {
      // The next request uses the server's clock.
      clockOffsetMs = answer.data.server_time - Date.now();
    }
    showState();
    return response;
  }

  // -- the document

  async function fetchJson(path) {
    const response = await fetch(path, { cache: "no-cache" });
    return response.ok ? response.json() : null;
  }

  // What is shown: the document without the parameters that this page adds.
  function withoutCommon(spec) {
    const names = new Set(COMMON);
    const isCommon = (parameter) =>
      parameter.$ref !== undefined && names.has(spec.components.parameters[parameter.$ref.split("/").pop()].name);
    for (const methods of Object.values(spec.paths)) {
      for (const operation of Object.values(methods)) {
        operation.parameters = (operation.parameters || []).filter((parameter) => !isCommon(parameter));
        for (const { schema } of Object.values(operation.requestBody ? operation.requestBody.content : {})) {
          for (const name of names) delete schema.properties[name];
          schema.required = schema.required.filter((name) => !names.has(name));
          Object.values(schema.properties).forEach((property, i) => {
            const isRequired = schema.required.includes(Object.keys(schema.properties)[i]);
            // Swagger UI fills fields in with made-up values; a field that may stay empty shall be empty.
            if (property.default === undefined && !(isRequired && property.examples)) property.examples = [""];
          });
        }
      }
    }
    return spec;
  }

  function showCommon(spec) {
    const rows = Object.values(spec.components.parameters).filter((parameter) => COMMON.includes(parameter.name));
    byId("common").tBodies[0].replaceChildren(...rows.map((parameter) => {
      const row = document.createElement("tr");
      const about = spec.components.schemas[parameter.schema.$ref.split("/").pop()].description;
      row.insertCell().append(code(parameter.name));
      // What stands between back quotes is code.
      row.insertCell().append(...about.split("`").map((part, i) => (i % 2 ? code(part) : part)));
      return row;
    }));
  }

  // Swagger UI sends empty fields unless one says no; here an empty field is left out unless one says yes.
  const leaveEmptyFieldsOut = () => ({
    wrapComponents: {
      ParameterIncludeEmpty: (Original, system) => (props) => system.React.createElement(Original, {
        ...props,
        isIncludedOptions: { ...props.isIncludedOptions, defaultValue: false },
      }),
    },
  });

  const [spec, given] = await Promise.all([fetchJson("openapi.json"), fetchJson("docs/keys.json")]);
  if (given && given.data) Object.assign(keys, given.data, { own: true });
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      operations.set(`${method.toUpperCase()} ${path}`, operation);
    }
  }
  showCommon(spec);
  showState();
  SwaggerUIBundle({
    spec: withoutCommon(spec),
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [leaveEmptyFieldsOut],
    layout: "BaseLayout",
    deepLinking: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    requestInterceptor: prepare,
    responseInterceptor: notice,
    onComplete: () => document.body.setAttribute("data-ready", "1"),
  });
})();

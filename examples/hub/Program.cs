using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.SignalR;
using Microsoft.Extensions.Options;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddSingleton<Headquarters>();
builder.Services.AddSignalR();                      // takes messages of up to 32 KiB
builder.Services.AddAuthentication("Token").AddScheme<AuthenticationSchemeOptions, TokenHandler>("Token", null);
builder.Services.AddAuthorization();
var app = builder.Build();
app.MapHub<SyncHub>("/hubs/sync").RequireAuthorization(caller => caller.RequireRole("Stores"));

// A new price goes into the feed, for the stores that are away now, and to all that are connected.
app.MapPost("/prices", async (PriceSync price, Headquarters hq, IHubContext<SyncHub> stores) =>
{
    hq.Publish("Price", price.ProductId, price.CorrelationId, price.UpdatedAt, price);
    await stores.Clients.All.SendAsync("ReceivePriceUpdate", price);
}).RequireAuthorization(caller => caller.RequireRole("Prices"));
app.Run();

public class SyncHub(Headquarters hq, ILogger<SyncHub> log) : Hub
{
    public SyncAck[] SendSyncBatch(SyncItem[] items)
    {
        var refused = new HashSet<string>();        // entities of this batch whose later rows must not overtake
        return items.Select(item => hq.Receive(item, refused)).ToArray();
    }

    public BatchSyncResponse RequestBatchSync(BatchSyncRequest request) => hq.ChangesSince(request);

    public void Acknowledge(SyncAck ack) => AcknowledgeBatch([ack]);

    public void AcknowledgeBatch(SyncAck[] acks)
    {
        foreach (var ack in acks.Where(ack => !ack.Success))
            log.LogWarning("A store could not apply {Id}: {Error}", ack.CorrelationId, ack.ErrorMessage);
    }

    public Task Heartbeat(StoreHeartbeat beat) => Clients.Caller.SendAsync("HeartbeatResponse");   // note who lives, and since when
}

public class Headquarters(ILogger<Headquarters> log)
{
    private static readonly HashSet<string> Kinds = ["Receipt", "Payment", "Inventory"];
    private readonly Lock _gate = new();                                  // one transaction, in a real one
    private readonly HashSet<string> _known = [];                         // a table with a unique key
    private readonly List<SyncItem> _changes = [];                        // a table, and its name in it:
    private readonly string _feedEpoch = Guid.NewGuid().ToString("N");    // a new one whenever a backup was restored

    public SyncAck Receive(SyncItem item, HashSet<string> refused)
    {
        lock (_gate)                                // a row that comes twice at the same moment is still taken once
        {
            if (_known.Contains(item.CorrelationId)) return Verdict(item);
            var entity = $"{item.EntityType}/{item.EntityId}";
            if (refused.Contains(entity)) return Verdict(item, "an earlier row of this entity was refused");
            if (!Kinds.Contains(item.EntityType))   // your own checks go here
            {
                refused.Add(entity);
                return Verdict(item, $"HQ takes no {item.EntityType}", retryable: false);
            }
            log.LogInformation("Took {Type} {Id} of store {Store}", item.EntityType, item.EntityId, item.StoreId);   // your own work
            _known.Add(item.CorrelationId);
            return Verdict(item);
        }
    }

    public BatchSyncResponse ChangesSince(BatchSyncRequest request)
    {
        lock (_gate)
        {
            var from = 0;
            if (request.Cursor is not null && !(int.TryParse(request.Cursor, out from) && from >= 0 && from <= _changes.Count))
                return new(true, _changes.Count, 0, [], false, null, _feedEpoch, CursorUnknown: true);   // it is another feed's
            var page = _changes.Skip(from).Take(request.BatchSize).ToList();
            var next = from + page.Count;
            var wanted = page.Where(item => request.EntityTypes?.Contains(item.EntityType) ?? true).ToArray();
            return new(true, _changes.Count, next, wanted, next < _changes.Count, next.ToString(), _feedEpoch);
        }
    }

    public void Publish(string entityType, object id, string correlationId, DateTime at, object payload)
    {
        var item = new SyncItem(entityType, JsonSerializer.SerializeToElement(id), "Update", JsonSerializer.Serialize(payload), at,
            null, correlationId);
        lock (_gate) _changes.Add(item);
    }

    private static SyncAck Verdict(SyncItem item, string? error = null, bool? retryable = null) =>
        new(item.CorrelationId, error is null, error, DateTime.UtcNow, retryable);
}

// Knows a caller by its token. With an identity provider, AddJwtBearer takes the place of this class.
public class TokenHandler(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory log, UrlEncoder encoder, IConfiguration settings)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, log, encoder)
{
    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var sent = Encoding.UTF8.GetBytes(Request.Headers.Authorization.ToString());
        var role = settings.GetSection("Tokens").GetChildren().FirstOrDefault(token => !string.IsNullOrEmpty(token.Value) &&
            CryptographicOperations.FixedTimeEquals(sent, Encoding.UTF8.GetBytes($"Bearer {token.Value}")))?.Key;
        if (role is null) return Task.FromResult(AuthenticateResult.NoResult());
        var caller = new ClaimsIdentity([new Claim(ClaimTypes.Role, role)], Scheme.Name);
        return Task.FromResult(AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(caller), Scheme.Name)));
    }
}

// Identifiers are JsonElement, since a store may send numbers or text.
public record SyncItem(string EntityType, JsonElement EntityId, string Operation, string Payload, DateTime Timestamp,
    JsonElement? StoreId, string CorrelationId, long? Sequence = null, int? Priority = null, int? Attempt = null);
public record SyncAck(string CorrelationId, bool Success, string? ErrorMessage, DateTime ProcessedAt, bool? Retryable = null);
public record BatchSyncRequest(JsonElement StoreId, int BatchSize, string? Cursor = null, DateTime? SinceTimestamp = null,
    string[]? EntityTypes = null);
public record BatchSyncResponse(bool Success, int TotalItems, int ProcessedItems, SyncItem[] Items, bool HasMore,
    string? NextCursor, string FeedEpoch, bool? CursorUnknown = null, string? ErrorMessage = null);
public record StoreHeartbeat(DateTime Timestamp, JsonElement StoreId, int PendingSyncCount, string ClientVersion,
    int FailedCount, string? Cursor, string State);
public record PriceSync(long ProductId, decimal Price, string Currency, DateTime UpdatedAt, string CorrelationId);
